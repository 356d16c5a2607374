import assert from "node:assert/strict";
import { test } from "node:test";
import { CHART, helm, helmMissing } from "../support/helm.ts";
import { findKubernetes } from "./programs.ts";
import { startKubernetes } from "./start-kubernetes.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : helmMissing;
const NAMESPACE = "trysail-system";
const DEPLOYMENT = `/apis/apps/v1/namespaces/${NAMESPACE}/deployments/trysail`;
const WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/trysail-sidecar-injector";
const CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/virtualservices.networking.istio.io";
const MERGE = "application/merge-patch+json";
const STRATEGIC = "application/strategic-merge-patch+json";

test("an installation follows its values, on a real API server", { skip, timeout: 180_000 }, async (t) => {
  if ("missing" in found) return;
  const client = await startKubernetes(t, { ...found.programs, controllerManager: null });
  const upgrade = (values: object, ...more: string[]) =>
    helm(
      ...["upgrade", "--install", "trysail", CHART, `--kubeconfig=${client.kubeconfig}`],
      ...[`--namespace=${NAMESPACE}`, "--create-namespace", "--reset-values", ...more],
      ...Object.entries(values).flatMap(([name, value]) => ["--set-json", `${name}=${JSON.stringify(value)}`]),
    );
  const read = async (path: string) => (await client.call("GET", path)).body;
  const inNamespace = (api: string, resource: string) => `${api}/namespaces/${NAMESPACE}/${resource}`;
  const switched = [
    inNamespace("/apis/policy/v1", "poddisruptionbudgets/trysail"),
    inNamespace("/apis/networking.k8s.io/v1", "networkpolicies/trysail"),
    inNamespace("/apis/autoscaling/v2", "horizontalpodautoscalers/trysail"),
    inNamespace("/api/v1", "configmaps/trysail-dashboard-proxies"),
    "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles/trysail-credentials",
  ];
  const there = async () => Promise.all(switched.map(async (path) => (await client.call("GET", path)).status === 200));

  await t.test("a dry run by the server is told what would come, and leaves nothing", async () => {
    assert.match(await upgrade({}, "--dry-run=server"), /kind: Deployment/);
    assert.equal((await client.call("GET", DEPLOYMENT)).status, 404);
  });

  await t.test("what is switched on comes, and goes when it is switched off", async () => {
    await upgrade({});
    assert.deepEqual(await there(), [true, true, false, false, false]);
    await upgrade({
      ...{ podDisruptionBudget: { enabled: false }, networkPolicy: { enabled: false } },
      ...{ autoscaling: { enabled: true }, dashboards: { enabled: true }, credentials: { namespaces: ["default"] } },
    });
    assert.deepEqual(await there(), [false, false, true, true, true]);
    await upgrade({});
    assert.deepEqual(await there(), [true, true, false, false, false]);
  });

  await t.test("as many replicas as the HorizontalPodAutoscaler asks for stay", async () => {
    await upgrade({ autoscaling: { enabled: true } });
    // As it does.
    const scale = { spec: { replicas: 4 } };
    await client.call("PATCH", `${DEPLOYMENT}/scale`, scale, "application/merge-patch+json");
    await upgrade({ autoscaling: { enabled: true }, logLevel: "debug" });
    assert.equal((await read(DEPLOYMENT)).spec.replicas, 4);
    await upgrade({ replicas: 1 });
    assert.equal((await read(DEPLOYMENT)).spec.replicas, 1);
  });

  await t.test("webhooks keep the root that the control plane put into them, whichever are added", async () => {
    const caBundle = Buffer.from(client.rootPem).toString("base64");
    const webhooksNow = async (): Promise<Webhook[]> => (await read(WEBHOOKS)).webhooks;
    const bundled = (await webhooksNow()).map(({ name }) => ({ name, clientConfig: { caBundle } }));
    assert.equal((await client.call("PATCH", WEBHOOKS, { webhooks: bundled }, STRATEGIC)).status, 200);
    await upgrade({ enableNamespacesByDefault: true, revisionTags: ["stable"], webhooks: { failurePolicy: "Ignore" } });
    const bare = (await webhooksNow()).filter(({ clientConfig }) => clientConfig.caBundle !== caBundle);
    assert.deepEqual(
      bare.map(({ name }) => name),
      ["auto.sidecar-injector.trysail.io"],
    );
  });

  await t.test("CRDs stay when the chart is to bring them no more, and are its own when it is again", async () => {
    await upgrade({ crds: { install: false } });
    assert.equal((await client.call("GET", CRD)).status, 200);
    await client.call("PATCH", CRD, { metadata: { labels: { "app.kubernetes.io/part-of": null } } }, MERGE);
    await upgrade({});
    assert.equal((await read(CRD)).metadata.labels["app.kubernetes.io/part-of"], "trysail");
  });

  await t.test("in place of one revision comes another", async () => {
    await upgrade({ revision: "canary" });
    assert.equal((await client.call("GET", DEPLOYMENT)).status, 404);
    assert.equal((await client.call("GET", WEBHOOKS)).status, 404);
    assert.equal((await client.call("GET", `${DEPLOYMENT}-canary`)).status, 200);
  });

  await t.test("a second release of the same revision is refused, and changes nothing", async () => {
    const generation = async () => (await read(`${DEPLOYMENT}-canary`)).metadata.generation;
    const before = await generation();
    const second = ["second", CHART, `--kubeconfig=${client.kubeconfig}`, `--namespace=${NAMESPACE}`];
    await assert.rejects(
      helm("install", ...second, "--set=revision=canary"),
      /cannot be imported into the current release/,
    );
    assert.equal(await generation(), before);
  });
});

interface Webhook {
  readonly name: string;
  readonly clientConfig: { readonly caBundle?: string };
}
