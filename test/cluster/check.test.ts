import assert from "node:assert/strict";
import { test } from "node:test";
import { createSelfSignedRoot } from "../../src/ca/authority/self-signed-root.ts";
import type { CheckLine } from "../../src/operations/check/check.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { systemRandom } from "../../src/platform/random.ts";
import { testControlPlane } from "../support/control-plane.ts";
import { CHART, helm, helmMissing } from "../support/helm.ts";
import { until } from "../support/until.ts";
import { create } from "./create.ts";
import { istioWebhook } from "./istio-webhook.ts";
import { findKubernetes } from "./programs.ts";
import { accountKubeconfig, podClient } from "./service-account.ts";
import { startKubernetes, type TestKubernetes } from "./start-kubernetes.ts";
import { trysail } from "./trysail.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : helmMissing;
const NAMESPACE = "trysail-system";
const REGISTRATION = "/apis/admissionregistration.k8s.io/v1";
const DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const MERGE = "application/merge-patch+json";

test("`trysail check` on a real API server", { skip, timeout: 600_000 }, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, { ...found.programs, controllerManager: null });
  const { kubeconfig } = kubernetes;
  const check = async (...args: string[]): Promise<{ exitCode: number; lines: readonly CheckLine[] }> => {
    const { exitCode, stdout, stderr } = await trysail("check", "--kubeconfig", kubeconfig, "-o", "json", ...args);
    assert.equal(stderr, "");
    return { exitCode, lines: JSON.parse(stdout) };
  };
  const namespace = (name: string, labels: object) =>
    create(kubernetes, "/api/v1/namespaces", { metadata: { name, labels } });
  const remove = (path: string) => kubernetes.call("DELETE", path);

  await t.test("a cluster that can have the mesh passes before the installation", async () => {
    const { stdout, exitCode } = await trysail("check", "--pre", "--kubeconfig", kubeconfig);
    assert.equal(exitCode, 0, stdout);
    assert.match(stdout, /^✓ +version +Kubernetes v1\.\d+\.\d+/m);
    assert.match(stdout, /^✓ +clocks +this machine and the API server agree to \d\.\d s$/m);
    assert.match(stdout, /^✓ +permissions +you may do everything$/m);
    assert.match(stdout, /^\d+ passed, 0 warnings, 0 failed$/m);
    assert.match(stdout, /^✓ +installed +no control plane of Trysail is here yet$/m);
    assert.doesNotMatch(stdout, /^\S +control plane /m);
  });

  await t.test("whoever may not install it is told what is missing", async (t) => {
    await podClient(t, kubernetes, { name: "stranger", rules: [] });
    const stranger = await accountKubeconfig(t, kubernetes, "stranger");
    const { stdout, exitCode } = await trysail("check", "--pre", "--kubeconfig", stranger);
    assert.equal(exitCode, 1);
    assert.match(stdout, /^✗ +permissions +you may not create clusterroles\.rbac\.authorization\.k8s\.io$/m);
    assert.match(stdout, /^✗ +permissions +you may not watch pods$/m);
    assert.match(stdout, /^ +→ let somebody install it who may/m);
    assert.match(stdout, /^! +CRDs +cannot be told: .*forbidden/m);
  });

  await t.test("another mesh that claims the same namespaces is a failure, and else none", async () => {
    const istio = `${REGISTRATION}/mutatingwebhookconfigurations`;
    await create(kubernetes, istio, istioWebhook);
    assertLine(await check("--pre"), "pass", /Istio \(istio-sidecar-injector\) is here too, for other namespaces/);
    await namespace("shop", { "istio-injection": "enabled" });
    const { exitCode, lines } = await check("--pre");
    assert.equal(exitCode, 1);
    assertLine(
      { lines },
      "fail",
      /Istio \(istio-sidecar-injector\) and trysail both claim shop/,
      /--set revision=trysail/,
    );
    assertLine(await check("--pre", "--revision=own"), "pass", /for other namespaces/);
    await remove(`${istio}/istio-sidecar-injector`);
  });

  await t.test("where nothing is installed, each thing that is missing is told once, with the way out", async () => {
    const { exitCode, lines } = await check();
    assert.equal(exitCode, 1);
    assertLine(
      { lines },
      "fail",
      /there is no Deployment trysail in trysail-system/,
      /ask with --pre before installing/,
    );
    assertLine({ lines }, "fail", /pods get no sidecar: shop$/, /no control plane is installed/);
    assert.deepEqual(
      lines.filter(({ check }) => check === "permissions").map(({ message }) => message.replace(/\d+/, "N")),
      ["the control plane may do none of the N things that it needs"],
    );
  });

  await helm(
    ...["upgrade", "--install", "trysail", CHART, `--kubeconfig=${kubeconfig}`, `--namespace=${NAMESPACE}`],
    "--create-namespace",
  );
  for (const place of ["default", "shop"]) {
    // Without controllers, the test makes what a pod needs.
    await kubernetes.call("POST", `/api/v1/namespaces/${place}/serviceaccounts`, { metadata: { name: "default" } });
  }

  await t.test("before another one is installed, those that are here and what is in the way are told", async () => {
    const before = (namespace: string, revision: string) =>
      check("--pre", `--namespace=${namespace}`, `--revision=${revision}`);
    assertLine(await before(NAMESPACE, "default"), "pass", /^revision default is in trysail-system already: helm upg/);
    assertLine(await before(NAMESPACE, "canary"), "pass", /^revision default is in trysail-system too/);
    const same = await before("mesh", "default");
    assertLine(same, "fail", /^revision default is installed in trysail-system, /, /--set revision=canary/);
    assert.equal(same.exitCode, 1);
    const rootless = /^revision default is in trysail-system, and there is no root of that mesh in mesh /;
    assertLine(
      await before("mesh", "canary"),
      "fail",
      rootless,
      /--namespace trysail-system\), or give it that mesh's/,
    );

    await namespace("mesh", {});
    const [ours, theirs] = [validRoot(), validRoot()];
    const bundle = { metadata: { name: "trysail-ca-root-cert" }, data: { "root-cert.pem": ours } };
    await create(kubernetes, `/api/v1/namespaces/${NAMESPACE}/configmaps`, bundle);
    const secret = (root: string) => ({ metadata: { name: "cacerts" }, stringData: { "root-cert.pem": root } });
    await create(kubernetes, "/api/v1/namespaces/mesh/secrets", secret(theirs));
    const other = /Secret mesh\/cacerts has another root than ConfigMap trysail-system\/trysail-ca-root-cert/;
    assertLine(await before("mesh", "canary"), "fail", other, /that mesh's root first/);
    await kubernetes.call("PATCH", "/api/v1/namespaces/mesh/secrets/cacerts", secret(ours), MERGE);
    assertLine(await before("mesh", "canary"), "pass", /^revision default is in trysail-system, and the mesh's root/);

    const name = "trysail-sidecar-injector-old";
    const [webhook] = istioWebhook.webhooks;
    const clientConfig = { service: { name: "trysail-old", namespace: "gone", path: "/inject" } };
    await create(kubernetes, `${REGISTRATION}/mutatingwebhookconfigurations`, {
      metadata: { name, labels: { "istio.io/rev": "old" } },
      webhooks: [{ ...webhook, clientConfig }],
    });
    const left = /^trysail-sidecar-injector-old of revision old is left of the namespace gone/;
    assertLine(await before(NAMESPACE, "default"), "fail", left, /^take away .*: trysail uninstall --namespace gone$/);
    assertLine(await before("gone", "old"), "fail", left, /^install it again/);
    await remove(`${REGISTRATION}/mutatingwebhookconfigurations/${name}`);
    await remove(`/api/v1/namespaces/${NAMESPACE}/configmaps/trysail-ca-root-cert`);
    await remove("/api/v1/namespaces/mesh");
  });

  await t.test("an installation that nobody answers for fails, each cause with what to do", async () => {
    const { exitCode, lines } = await check();
    assert.equal(exitCode, 1);
    assertLine({ lines }, "fail", /0 of 2 replicas of trysail are ready/, /kubectl -n trysail-system get pods/);
    assertLine({ lines }, "fail", /nobody holds the Lease trysail-leader/, /see the control plane's log/);
    assertLine({ lines }, "fail", /cannot be told: .*configmaps "trysail-ca-root-cert" not found/);
    assertLine({ lines }, "fail", /cannot ask the injection webhook: .*failed calling webhook/, /log of trysail/);
    assertLine({ lines }, "fail", /cannot ask the validation webhook/);
  });

  const plane = await testControlPlane(t, {}, { source: { kind: "kubeconfig", path: kubeconfig } });
  await pretendDeployed(kubernetes, `https://127.0.0.1:${plane.ports.https}`);

  await t.test("a mesh that is well passes", async () => {
    await until("every check to pass", async () => {
      const { exitCode, lines } = await check();
      const bad = lines.filter(({ status }) => status !== "pass");
      assert.deepEqual([exitCode, bad], [0, []]);
      return true;
    });
    const { lines } = await check();
    assertLine({ lines }, "pass", /2 of 2 replicas of trysail are ready/);
    assertLine({ lines }, "pass", /^a root of the mesh is valid until 20/);
    assertLine({ lines }, "pass", /^the certificate of 127\.0\.0\.1:\d+ is valid until 20/);
    assertLine({ lines }, "pass", /the caBundle of 6 webhooks is the mesh's trust bundle/);
    assertLine({ lines }, "pass", /a pod that asks for revision default gets its sidecar/);
    assertLine({ lines }, "pass", /configuration that makes no sense is refused/);
    assertLine({ lines }, "pass", /the control plane may do all \d+ things that it needs/);
  });

  await t.test("a verb that the control plane lacks is named", async () => {
    const path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/trysail";
    const { body } = await kubernetes.call("GET", path);
    const rules = body.rules.map((rule: { resources: string[] }) =>
      rule.resources.includes("pods") ? { ...rule, verbs: ["list"] } : rule,
    );
    await kubernetes.call("PATCH", path, { rules }, MERGE);
    await until("the role to hold", async () => {
      assertLine(await check(), "fail", /the control plane may not watch pods$/, /helm upgrade/);
      return true;
    });
    await kubernetes.call("PATCH", path, { rules: body.rules }, MERGE);
  });

  await t.test("the rights of a signer are asked for where the Deployment says that it is one", async () => {
    const path = `/apis/apps/v1/namespaces/${NAMESPACE}/deployments/trysail`;
    const { body } = await kubernetes.call("GET", path);
    const [container] = body.spec.template.spec.containers;
    const withArgs = (args: readonly string[]) =>
      kubernetes.call("PATCH", path, { spec: { template: { spec: { containers: [{ ...container, args }] } } } }, MERGE);
    await withArgs([...container.args, "--csr-signer=trysail.dev/workload"]);
    const result = await check();
    for (const right of [
      /may not watch certificatesigningrequests\.certificates\.k8s\.io$/,
      /may not update certificatesigningrequests\/status\.certificates\.k8s\.io$/,
      /may not update certificatesigningrequests\/approval\.certificates\.k8s\.io$/,
      /may not sign signers\.certificates\.k8s\.io trysail\.dev\/workload$/,
      /may not approve signers\.certificates\.k8s\.io trysail\.dev\/workload$/,
    ]) {
      assertLine(result, "fail", right, /helm upgrade/);
    }
    await withArgs(container.args);
  });

  await t.test("labels of namespaces that contradict each other, or name nobody, are told", async () => {
    await namespace("both", { "istio-injection": "enabled", "istio.io/rev": "default" });
    await namespace("lost", { "istio.io/rev": "nobody" });
    const lost = { "sidecar.istio.io/inject": "true", "istio.io/rev": "nobody" };
    await create(kubernetes, "/api/v1/namespaces/default/pods", {
      metadata: { name: "gateway", labels: lost },
      spec: { containers: [{ name: "istio-proxy", image: "auto" }] },
    });
    await namespace("strict", { "istio.io/rev": "default", "pod-security.kubernetes.io/enforce": "restricted" });
    const { lines } = await check();
    assertLine({ lines }, "warn", /labelled both istio-injection and istio\.io\/rev.*: both$/, /take one/);
    assertLine({ lines }, "fail", /nobody serves, .*: lost$/, /one of default/);
    const unserved = /label istio\.io\/rev for nobody, a revision or tag that nobody serves: default\/gateway$/;
    assertLine({ lines }, "fail", unserved, /the chart gateway by its value revision, name one of default,/);
    await remove("/api/v1/namespaces/default/pods/gateway");
    assertLine({ lines }, "warn", /Pod Security refuses injected pods in strict,/, /interceptionBy=node/);
    for (const name of ["both", "lost", "strict"]) await remove(`/api/v1/namespaces/${name}`);
  });

  await t.test("a Secret that names another cluster and cannot be used is told", async () => {
    const secrets = `/api/v1/namespaces/${NAMESPACE}/secrets`;
    const metadata = { name: "remote-east", labels: { "istio/multiCluster": "true" } };
    await create(kubernetes, secrets, { metadata, stringData: { east: "clusters: {" } });
    const unusable = /^Secret trysail-system\/remote-east key east is not a kubeconfig/;
    assertLine(await check(), "fail", unusable, /docs\/multicluster\.md$/);
    await remove(`${secrets}/remote-east`);
  });

  await t.test("pods whose revision is gone are told", async () => {
    const status = JSON.stringify({ revision: "gone" });
    await create(kubernetes, "/api/v1/namespaces/default/pods", {
      metadata: {
        name: "left",
        labels: { "security.istio.io/tlsMode": "istio" },
        annotations: { "sidecar.istio.io/status": status },
      },
      spec: { containers: [{ name: "app", image: "app" }] },
    });
    const left = /^pods have an Envoy of revision gone, which is not installed: .*: default\/left$/;
    assertLine(await check(), "fail", left, /for one of default, and restart their workloads$/);
    await remove("/api/v1/namespaces/default/pods/left");
  });

  await t.test("a tag whose revision is gone is told, with the namespaces that ask for it", async () => {
    assert.equal((await trysail("tag", "set", "prod", "--revision=default", "--kubeconfig", kubeconfig)).exitCode, 0);
    await namespace("tagged", { "istio.io/rev": "prod" });
    const path = `${REGISTRATION}/mutatingwebhookconfigurations/trysail-revision-tag-prod`;
    await kubernetes.call("PATCH", path, { metadata: { labels: { "istio.io/rev": "gone" } } }, MERGE);
    const lost = /tag prod leads to revision gone, which is not installed; it is asked for by tagged$/;
    assertLine(await check(), "fail", lost, /trysail tag set prod/);
    for (const gone of [path, "/api/v1/namespaces/tagged"]) await remove(gone);
  });

  await t.test("a CRD that is older than what is read is told by the fields that are lost", async () => {
    const name = "sidecars.networking.istio.io";
    const { body } = await kubernetes.call("GET", `${DEFINITIONS}/${name}`);
    // As Istio's own are: what they do not name is dropped.
    const closed: CrdSpec = JSON.parse(
      JSON.stringify(body.spec, (key, value) => (key === "x-kubernetes-preserve-unknown-fields" ? undefined : value)),
    );
    for (const { schema } of closed.versions) delete schema.openAPIV3Schema.properties.spec.properties.egress;
    const { status } = await kubernetes.call("PATCH", `${DEFINITIONS}/${name}`, { spec: closed }, MERGE);
    assert.equal(status, 200);
    assertLine(await check(), "warn", /^sidecars\S+ is older: the API server drops spec\.egress/, /helm upgrade/);
    await remove(`${DEFINITIONS}/${name}`);
    await until("the CRD to be gone", async () => {
      assertLine(await check(), "fail", /not installed, and so not read: Sidecar$/, /crds\.install=true/);
      return true;
    });
  });

  await t.test("a node whose clock is ahead is told by its Lease", async () => {
    await kubernetes.call("POST", "/api/v1/namespaces", { metadata: { name: "kube-node-lease" } });
    const renewTime = `${new Date(Date.now() + 3_600_000).toISOString().slice(0, -1)}000Z`;
    await create(kubernetes, "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", {
      metadata: { name: "node-7" },
      spec: { renewTime },
    });
    assertLine(await check(), "fail", /nodes are up to 3[56]\d\d\.\d s ahead of the API server: node-7$/, /NTP/);
  });

  await t.test("what pods that run do not notice to be gone is told", async () => {
    for (const path of ["services/trysail", "configmaps/trysail-injection"]) {
      await remove(`/api/v1/namespaces/${NAMESPACE}/${path}`);
    }
    const result = await check();
    assertLine(result, "fail", /there is no Service trysail in trysail-system/, /helm upgrade/);
    assertLine(result, "fail", /there is no ConfigMap trysail-injection in trysail-system/, /helm upgrade/);
  });

  await t.test("a control plane that is gone, and a root that has ended, are told", async () => {
    await plane.stop();
    const path = `/api/v1/namespaces/${NAMESPACE}/configmaps/trysail-ca-root-cert`;
    const data = { "root-cert.pem": endedCertificate() };
    await kubernetes.call("PATCH", path, { data }, MERGE);
    const { exitCode, lines } = await check();
    assert.equal(exitCode, 1);
    assertLine({ lines }, "fail", /nobody holds the Lease/);
    assertLine({ lines }, "fail", /^a root of the mesh ended at 20(09|10)-/, /trysail ca status/);
    assertLine({ lines }, "fail", /caBundle is not the mesh's trust bundle in trysail-sidecar-injector, trysail-val/);
    assertLine({ lines }, "fail", /cannot be told: 127\.0\.0\.1:\d+ does not answer: .*ECONNREFUSED/);
    assertLine({ lines }, "fail", /cannot ask the injection webhook: .*connection refused/, /nobody answers/);
  });

  await t.test("without an API server the one line says so", async () => {
    await kubernetes.stopApiServer();
    const { exitCode, stderr } = await trysail("check", "--kubeconfig", kubeconfig);
    assert.equal(exitCode, 1);
    assert.match(stderr, /^trysail: GET \/version: .*ECONNREFUSED.*\n$/);
  });
});

interface CrdSpec {
  readonly versions: readonly {
    readonly schema: { readonly openAPIV3Schema: { properties: { spec: { properties: Record<string, unknown> } } } };
  }[];
}

function assertLine(
  { lines }: { readonly lines: readonly CheckLine[] },
  status: CheckLine["status"],
  message: RegExp,
  action = /^/,
): void {
  const isMeant = (line: CheckLine) =>
    line.status === status && message.test(line.message) && action.test(line.status === "pass" ? "" : line.action);
  assert.ok(lines.some(isMeant), `no line ${status} ${message} ${action} in\n${JSON.stringify(lines, null, 2)}`);
}

/** No node runs here: the webhooks lead to this process, and the Deployment's status says what a kubelet would. */
async function pretendDeployed(kubernetes: TestKubernetes, url: string): Promise<void> {
  for (const [kind, path] of [
    ["mutating", "/inject"],
    ["validating", "/validate"],
  ]) {
    const collection = `${REGISTRATION}/${kind}webhookconfigurations`;
    const { body } = await kubernetes.call("GET", collection);
    for (const { metadata, webhooks } of body.items) {
      const operations = webhooks.flatMap((_: unknown, index: number) => [
        { op: "remove", path: `/webhooks/${index}/clientConfig/service` },
        { op: "add", path: `/webhooks/${index}/clientConfig/url`, value: `${url}${path}` },
      ]);
      const { status, body: answer } = await kubernetes.call(
        ...(["PATCH", `${collection}/${metadata.name}`, operations, "application/json-patch+json"] as const),
      );
      assert.equal(status, 200, JSON.stringify(answer));
    }
  }
  const status = { replicas: 2, readyReplicas: 2, availableReplicas: 2, updatedReplicas: 2 };
  const deployment = `/apis/apps/v1/namespaces/${NAMESPACE}/deployments/trysail/status`;
  await kubernetes.call("PATCH", deployment, { status }, MERGE);
}

function validRoot(): string {
  return createSelfSignedRoot({ clock: systemClock, random: systemRandom, trustDomain: "cluster.local" })
    .certificatePem;
}

/** Made in 2000 for ten years. */
function endedCertificate(): string {
  const clock = { ...systemClock, now: () => Date.UTC(2000, 0) };
  return createSelfSignedRoot({ clock, random: systemRandom, trustDomain: "cluster.local" }).certificatePem;
}
