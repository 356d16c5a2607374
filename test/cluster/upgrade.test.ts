import assert from "node:assert/strict";
import { test } from "node:test";
import { createSelfSignedRoot } from "../../src/ca/authority/self-signed-root.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { systemRandom } from "../../src/platform/random.ts";
import { CHART, helm, helmMissing, previousChart } from "../support/helm.ts";
import { until } from "../support/until.ts";
import { create } from "./create.ts";
import { findKubernetes } from "./programs.ts";
import { startKubernetes } from "./start-kubernetes.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : helmMissing;
const NAMESPACE = "trysail-system";
const CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const DEPLOYMENT = `/apis/apps/v1/namespaces/${NAMESPACE}/deployments/trysail`;
const SERVICE = `/api/v1/namespaces/${NAMESPACE}/services/trysail`;
const SECRET = `/api/v1/namespaces/${NAMESPACE}/secrets/trysail-ca-secret`;
const WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/trysail-sidecar-injector";
const VALIDATION = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/trysail-validator";
const PEER_AUTHENTICATIONS = "/apis/security.istio.io/v1/namespaces/default/peerauthentications";

test("the chart of the release before is upgraded to this one", { skip, timeout: 180_000 }, async (t) => {
  if ("missing" in found) return;
  const cluster = await startKubernetes(t, { ...found.programs, controllerManager: null });
  const place = [`--kubeconfig=${cluster.kubeconfig}`, `--namespace=${NAMESPACE}`];
  const read = async (path: string) => {
    const { status, body } = await cluster.call("GET", path);
    assert.equal(status, 200, path);
    return body;
  };
  const root = rootBase64();
  const own = ["--set=replicas=3", "--set=logLevel=debug", "--set=meshConfig.trustDomain=example.org"];
  await helm("install", "trysail", previousChart(), ...place, "--create-namespace", ...own);
  // What the control plane and users write meanwhile.
  await create(cluster, SECRET.replace("/trysail-ca-secret", ""), {
    metadata: { name: "trysail-ca-secret" },
    data: { "root-cert.pem": root },
  });
  const bundled = (await read(WEBHOOKS)).webhooks.map(({ name }: Named) => ({
    name,
    clientConfig: { caBundle: root },
  }));
  await cluster.call("PATCH", WEBHOOKS, { webhooks: bundled }, "application/strategic-merge-patch+json");
  // No control plane runs here that could be asked.
  assert.equal((await cluster.call("DELETE", VALIDATION)).status, 200);
  await create(cluster, PEER_AUTHENTICATIONS, {
    apiVersion: "security.istio.io/v1",
    kind: "PeerAuthentication",
    metadata: { name: "strict" },
    spec: { mtls: { mode: "STRICT" } },
  });
  const watched = [DEPLOYMENT, SERVICE, SECRET, WEBHOOKS, `${CRDS}/peerauthentications.security.istio.io`] as const;
  const uids = () => Promise.all(watched.map(async (path) => (await read(path)).metadata.uid));
  const before = await uids();

  await t.test("by the command of docs/install.md, with the values of its own", async () => {
    await helm("upgrade", "trysail", CHART, ...place, "--reset-then-reuse-values");
    const { spec } = await read(DEPLOYMENT);
    assert.equal(spec.replicas, 3);
    const { args } = spec.template.spec.containers[0];
    assert.ok(args.includes("--log-level=debug") && args.includes("--trust-domain=example.org"), args.join(" "));
  });

  await t.test("nothing is made anew, and what the control plane wrote stays", async () => {
    assert.deepEqual(await uids(), before);
    assert.equal((await read(SECRET)).data["root-cert.pem"], root);
    const bundles = (await read(WEBHOOKS)).webhooks.map(({ clientConfig }: Webhook) => clientConfig.caBundle);
    assert.deepEqual([...new Set(bundles)], [root]);
  });

  await t.test("the CRDs have today's fields, and their objects stay", async () => {
    const { items } = await read(PEER_AUTHENTICATIONS);
    assert.deepEqual(
      items.map(({ metadata }: { metadata: Named }) => metadata.name),
      ["strict"],
    );
    await until(
      "the kinds that came with this release",
      async () => (await read("/apis/trysail.dev/v1alpha1")).resources,
    );
    const { spec } = await read(`${CRDS}/virtualservices.networking.istio.io`);
    const columns = spec.versions[0].additionalPrinterColumns.map(({ name }: Named) => name);
    assert.ok(columns.includes("Accepted"), columns.join(" "));
  });

  await t.test("and back again, without a word lost of what users configured", async () => {
    await helm("rollback", "trysail", ...place);
    assert.deepEqual(await uids(), before);
    assert.equal((await read(PEER_AUTHENTICATIONS)).items.length, 1);
    assert.ok((await read(`${CRDS}/ratelimits.trysail.dev`)).metadata.uid);
  });
});

function rootBase64(): string {
  const root = createSelfSignedRoot({ clock: systemClock, random: systemRandom, trustDomain: "example.org" });
  return Buffer.from(root.certificatePem).toString("base64");
}

interface Named {
  readonly name: string;
}

interface Webhook {
  readonly clientConfig: { readonly caBundle?: string };
}
