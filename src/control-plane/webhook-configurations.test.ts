import assert from "node:assert/strict";
import { test } from "node:test";
import { skipReason } from "../injection/decide.ts";
import { defaultInjectionConfig } from "../injection/injection-config.ts";
import { type LabelSelector, selects } from "../mesh/label-selector.ts";
import { buildInjectionWebhooks, buildValidationWebhooks, type WebhookOptions } from "./webhook-configurations.ts";

const options: WebhookOptions = {
  revision: "default",
  revisionTags: [],
  enableNamespacesByDefault: false,
  systemNamespace: "trysail-system",
  ignoredNamespaces: defaultInjectionConfig.ignoredNamespaces,
  caBundlePem: "-----BEGIN CERTIFICATE-----\n",
  target: { service: { name: "trysail", namespace: "trysail-system", port: 15017 } },
  failurePolicy: "Fail",
  timeoutSeconds: 10,
};

interface Webhook {
  readonly name: string;
  readonly failurePolicy: string;
  readonly namespaceSelector: LabelSelector;
  readonly objectSelector: LabelSelector;
  readonly clientConfig: object;
}

const webhooksOf = (configuration: object): readonly Webhook[] => JSON.parse(JSON.stringify(configuration)).webhooks;

type Labels = Readonly<Record<string, string>>;

/** Every combination of one value, or none, for each key. */
function combinations(values: Readonly<Record<string, readonly string[]>>): Labels[] {
  return Object.entries(values).reduce<Labels[]>(
    (all, [key, choices]) =>
      all.flatMap((labels) => [labels, ...choices.map((value) => ({ ...labels, [key]: value }))]),
    [{}],
  );
}

const REVISIONS = ["default", "canary", "stable", "other"];
const settings: readonly Pick<WebhookOptions, "revision" | "revisionTags" | "enableNamespacesByDefault">[] = [
  { revision: "default", revisionTags: [], enableNamespacesByDefault: false },
  { revision: "default", revisionTags: [], enableNamespacesByDefault: true },
  { revision: "canary", revisionTags: ["stable"], enableNamespacesByDefault: false },
  { revision: "canary", revisionTags: ["default"], enableNamespacesByDefault: false },
];
for (const setting of settings) {
  test(`the API server asks about every pod that would be injected, and once: ${JSON.stringify(setting)}`, () => {
    const webhooks = webhooksOf(buildInjectionWebhooks({ ...options, ...setting }));
    const config = { ...defaultInjectionConfig, ...setting };
    let injected = 0;
    for (const name of ["shop", "kube-system", "trysail-system"]) {
      for (const asked of combinations({
        "istio-injection": ["enabled", "disabled", "x"],
        "istio.io/rev": REVISIONS,
      })) {
        const namespaceLabels = { ...asked, "kubernetes.io/metadata.name": name };
        for (const labels of combinations({
          "sidecar.istio.io/inject": ["true", "false", "yes", ""],
          "istio.io/rev": REVISIONS,
        })) {
          const pod = { metadata: { labels }, spec: { containers: [{ name: "app" }] } };
          const asking = webhooks.filter(
            ({ namespaceSelector, objectSelector }) =>
              selects(namespaceSelector, namespaceLabels) && selects(objectSelector, labels),
          );
          const shown = JSON.stringify({ namespaceLabels, labels, asking: asking.map((webhook) => webhook.name) });
          assert.ok(asking.length <= 1, shown);
          if (skipReason({ pod, namespace: name, namespaceLabels, config }) !== null) continue;
          injected++;
          assert.equal(asking.length, 1, shown);
        }
      }
    }
    assert.ok(injected > 0);
  });
}

test("the API server is told where to ask and whom to trust", () => {
  const [webhook] = webhooksOf(buildInjectionWebhooks(options));
  const service = { name: "trysail", namespace: "trysail-system", port: 15017, path: "/inject" };
  const caBundle = Buffer.from(options.caBundlePem).toString("base64");
  assert.deepEqual(webhook?.clientConfig, { service, caBundle });
  const [outside] = webhooksOf(
    buildInjectionWebhooks({ ...options, target: { url: "https://mesh.example.com:15017" } }),
  );
  assert.deepEqual(outside?.clientConfig, { url: "https://mesh.example.com:15017/inject", caBundle });
});

test("validation waits for the control plane everywhere but in its own namespace", () => {
  const webhooks = webhooksOf(buildValidationWebhooks(options));
  const policyIn = (name: string) =>
    webhooks
      .filter(({ namespaceSelector }) => selects(namespaceSelector, { "kubernetes.io/metadata.name": name }))
      .map(({ failurePolicy }) => failurePolicy);
  assert.deepEqual([policyIn("shop"), policyIn("trysail-system")], [["Fail"], ["Ignore"]]);
});
