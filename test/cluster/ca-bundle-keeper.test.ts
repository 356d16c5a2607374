import assert from "node:assert/strict";
import { test } from "node:test";
import {
  buildInjectionWebhooks,
  buildValidationWebhooks,
  type WebhookOptions,
  webhookConfigurationNames,
} from "../../src/control-plane/webhook-configurations.ts";
import { createCaBundleKeeper } from "../../src/kubernetes/ca-bundle-keeper.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { systemRandom } from "../../src/platform/random.ts";
import { temporaryAuthority } from "../support/authority.ts";
import { until } from "../support/until.ts";
import { create } from "./create.ts";
import { findKubernetes } from "./programs.ts";
import { podClient } from "./service-account.ts";
import { startKubernetes } from "./start-kubernetes.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : false;
const REGISTRATION = "/apis/admissionregistration.k8s.io/v1";
const names = webhookConfigurationNames("canary");
const mutating = `${REGISTRATION}/mutatingwebhookconfigurations`;
const validating = `${REGISTRATION}/validatingwebhookconfigurations`;

test("the caBundle of the webhook configurations is kept right", { skip, timeout: 180_000 }, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, found.programs);
  const [first, second] = [await newRoot(), await newRoot()];
  const options = webhookOptions(await newRoot());
  await create(kubernetes, mutating, buildInjectionWebhooks(options));
  await create(kubernetes, mutating, buildInjectionWebhooks({ ...options, revision: "other" }));
  const client = await podClient(t, kubernetes, {
    name: "keeper",
    rules: [
      {
        apiGroups: ["admissionregistration.k8s.io"],
        resources: ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
        resourceNames: [names.mutating, names.validating],
        verbs: ["list", "watch", "patch"],
      },
    ],
  });
  const deps = { client, clock: systemClock, random: systemRandom, log: createLog("silent") };
  const keeper = createCaBundleKeeper({ ...deps, names, caBundlePem: first, timing: { pollMs: 100 } });
  t.after(() => keeper.stop());
  const bundlesIn = async (path: string): Promise<string[]> => {
    const { body } = await kubernetes.call("GET", path);
    return body.webhooks.map(({ clientConfig }: { clientConfig: { caBundle: string } }) =>
      Buffer.from(clientConfig.caBundle, "base64").toString(),
    );
  };
  const holds = (path: string, pem: string) =>
    until(`${path} to hold the bundle`, async () => {
      const bundles = await bundlesIn(path);
      return bundles.length > 0 && bundles.every((bundle) => bundle === pem);
    });

  async function newRoot(): Promise<string> {
    return (await temporaryAuthority(t, systemClock)).rootCertificatePem;
  }

  await t.test("from the start, in every webhook, and nothing else is written", async () => {
    const { body: before } = await kubernetes.call("GET", `${mutating}/${names.mutating}`);
    await holds(`${mutating}/${names.mutating}`, first);
    const { body: after } = await kubernetes.call("GET", `${mutating}/${names.mutating}`);
    const without = ({ webhooks }: { webhooks: { clientConfig: object }[] }) =>
      webhooks.map((webhook) => ({ ...webhook, clientConfig: { ...webhook.clientConfig, caBundle: "" } }));
    assert.deepEqual(without(after), without(before));
    assert.equal(after.metadata.labels["istio.io/rev"], "canary");
  });

  await t.test("another revision's is left alone", async () => {
    const [bundle] = await bundlesIn(`${mutating}/${webhookConfigurationNames("other").mutating}`);
    assert.notEqual(bundle, first);
  });

  await t.test("when a configuration is installed later", async () => {
    await create(kubernetes, validating, buildValidationWebhooks(options));
    await holds(`${validating}/${names.validating}`, first);
  });

  await t.test("when the roots change", async () => {
    keeper.setCaBundle(second);
    await holds(`${mutating}/${names.mutating}`, second);
    await holds(`${validating}/${names.validating}`, second);
  });

  await t.test("when somebody edits it, or applies the whole configuration again", async () => {
    const operations = [{ op: "remove", path: "/webhooks/1/clientConfig/caBundle" }];
    const path = `${mutating}/${names.mutating}`;
    const { status } = await kubernetes.call("PATCH", path, operations, "application/json-patch+json");
    assert.equal(status, 200);
    await holds(path, second);
    await kubernetes.call("DELETE", path);
    await create(kubernetes, mutating, buildInjectionWebhooks(options));
    await holds(path, second);
  });
});

function webhookOptions(caBundlePem: string): WebhookOptions {
  return {
    revision: "canary",
    revisionTags: [],
    enableNamespacesByDefault: false,
    systemNamespace: "trysail-system",
    ignoredNamespaces: ["trysail-system"],
    caBundlePem,
    target: { service: { name: "trysail", namespace: "trysail-system", port: 443 } },
    failurePolicy: "Ignore",
    timeoutSeconds: 1,
  };
}
