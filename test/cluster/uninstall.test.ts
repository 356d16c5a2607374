import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { testControlPlane } from "../support/control-plane.ts";
import { CHART, helm, helmMissing, RATE_LIMIT_CHART } from "../support/helm.ts";
import { until } from "../support/until.ts";
import { create } from "./create.ts";
import { findKubernetes } from "./programs.ts";
import { startKubernetes, type TestKubernetes } from "./start-kubernetes.ts";
import { trysail } from "./trysail.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : helmMissing;
const NAMESPACE = "trysail-system";

test("`trysail uninstall` on a real API server", { skip, timeout: 180_000 }, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, { ...found.programs, controllerManager: null });
  const { kubeconfig } = kubernetes;
  // As Istio's own would be: of another hand.
  const foreign = parse(readFileSync(join(CHART, "files/crds/sidecar.yaml"), "utf8"));
  await create(kubernetes, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", foreign);
  await create(kubernetes, "/api/v1/namespaces", { metadata: { name: "elsewhere" } });
  const before = new Set(await everything(kubernetes));
  const install = (release: string, ...values: string[]) =>
    helm(
      ...["upgrade", "--install", release, CHART, `--kubeconfig=${kubeconfig}`, `--namespace=${NAMESPACE}`],
      ...["--create-namespace", ...values],
    );
  await install("trysail");
  await install("trysail-canary", "--set=revision=canary");
  const uninstall = (...args: string[]) => trysail("uninstall", "--kubeconfig", kubeconfig, ...args);
  assert.equal((await trysail("tag", "set", "prod", "--revision=canary", "--kubeconfig", kubeconfig)).exitCode, 0);
  // What a control plane writes while it runs.
  const plane = await testControlPlane(t, {}, { source: { kind: "kubeconfig", path: kubeconfig } });
  await until("the trust bundle everywhere", async () => {
    const all = await everything(kubernetes);
    const namespaces = all.filter((path) => path.startsWith("namespaces/"));
    return all.filter((path) => /^configmaps\/.*\/trysail-ca-root-cert$/.test(path)).length === namespaces.length;
  });
  await plane.stop();

  await t.test("a dry run lists what would go, with what goes with it, and removes nothing", async () => {
    const all = await everything(kubernetes);
    const { stdout, exitCode } = await uninstall("--purge", "--crds", "--dry-run");
    assert.equal(exitCode, 0);
    assert.match(stdout, /^MutatingWebhookConfiguration +trysail-revision-tag-prod +the tag prod$/m);
    assert.match(stdout, /^Lease +trysail-system +trysail-leader$/m);
    assert.match(stdout, /^Secret +trysail-system +trysail-ca-secret +the key of the mesh's root: .*$/m);
    assert.match(stdout, /^ConfigMap +default +trysail-ca-root-cert +the trust bundle$/m);
    assert.match(stdout, /^CustomResourceDefinition +virtualservices\S+ +and with it 0 objects in all namespaces$/m);
    assert.doesNotMatch(stdout, /sidecars\.networking\.istio\.io/);
    assert.deepEqual(await everything(kubernetes), all);
  });

  await t.test("where nobody can be asked and nobody said yes, nothing is removed", async () => {
    const all = await everything(kubernetes);
    const { stderr, exitCode } = await uninstall("--purge");
    assert.deepEqual([exitCode, stderr], [1, "trysail: nobody can be asked here: give --yes\n"]);
    assert.deepEqual(await everything(kubernetes), all);
  });

  await t.test("--crds without --purge is refused", async () => {
    assert.match((await uninstall("--crds", "--yes")).stderr, /--crds goes with --purge/);
  });

  await t.test("neither another namespace's control plane goes, nor what other charts installed", async () => {
    const there = [`--kubeconfig=${kubeconfig}`, "--namespace=elsewhere"];
    const second = ["install", "second", CHART, ...there, "--set=revision=second"];
    await assert.rejects(
      helm(...second),
      /a control plane of Trysail is in the namespace trysail-system: install this one there too/,
    );
    const secrets = "/api/v1/namespaces/elsewhere/secrets";
    await create(kubernetes, secrets, { metadata: { name: "cacerts" } });
    await helm(...second);
    // No PeerAuthentication, about which a webhook would be asked that nobody answers here.
    const alone = ["--set=inMemory=true", "--set=replicas=1", "--set=strictMutualTls=false"];
    await helm("install", "limits", RATE_LIMIT_CHART, ...there, ...alone);
    assert.equal((await trysail("tag", "set", "theirs", "--revision=second", "--kubeconfig", kubeconfig)).exitCode, 0);

    const { stdout } = await uninstall("--purge", "--dry-run");
    assert.match(stdout, /trysail-sidecar-injector-canary/);
    assert.doesNotMatch(stdout, /second|theirs|limits|elsewhere|the trust bundle/);
    assert.match(
      (await uninstall("--purge", "--crds", "--yes")).stderr,
      /control planes in elsewhere use the CRDs too/,
    );

    assert.equal((await trysail("tag", "remove", "theirs", "--kubeconfig", kubeconfig)).exitCode, 0);
    for (const release of ["limits", "second"]) await helm("uninstall", release, ...there);
    assert.equal((await kubernetes.call("DELETE", `${secrets}/cacerts`)).status, 200);
  });

  await t.test("without --purge the mesh's root, its config and the CRDs stay, and Helm can install anew", async () => {
    const { exitCode, stderr } = await uninstall("--yes");
    assert.equal(exitCode, 0, stderr);
    const left = (await everything(kubernetes)).filter((path) => !before.has(path));
    for (const kept of ["secrets/trysail-system/trysail-ca-secret", "configmaps/trysail-system/istio"]) {
      assert.ok(left.includes(kept), kept);
    }
    assert.ok(!left.some((path) => /webhookconfigurations|clusterroles|deployments/.test(path)), left.join("\n"));
    assert.ok(left.includes("customresourcedefinitions//virtualservices.networking.istio.io"));
    await install("trysail");
  });

  await t.test("with --purge and --crds nothing is left but what was there before", async () => {
    const { exitCode, stderr, stdout } = await uninstall("--purge", "--crds", "--yes");
    assert.equal(exitCode, 0, stderr);
    assert.match(stdout, /kubectl delete namespace trysail-system/);
    await until("what is being removed to be gone", async () => {
      const left = (await everything(kubernetes)).filter((path) => !before.has(path));
      const expected = [`namespaces//${NAMESPACE}`];
      assert.deepEqual(left, expected);
      return true;
    });
    assert.equal((await uninstall("--purge", "--crds", "--yes")).stdout, "there is nothing to remove\n");
  });
});

/** Every object that the API server holds, as `RESOURCE/NAMESPACE/NAME`, but for what only tells of others. */
async function everything(kubernetes: TestKubernetes): Promise<readonly string[]> {
  const read = async (path: string) => (await kubernetes.call("GET", path)).body;
  const groups: readonly { preferredVersion: { groupVersion: string } }[] = (await read("/apis")).groups;
  const roots = ["/api/v1", ...groups.map(({ preferredVersion }) => `/apis/${preferredVersion.groupVersion}`)];
  const paths: string[] = [];
  for (const root of roots) {
    const { resources = [] }: { resources?: readonly { name: string; verbs: readonly string[] }[] } = await read(root);
    for (const { name, verbs } of resources) {
      if (!verbs.includes("list") || /^(events|apiservices|componentstatuses)$/.test(name)) continue;
      const { items = [] }: { items?: readonly { metadata: { name: string; namespace?: string } }[] } = await read(
        `${root}/${name}`,
      );
      paths.push(...items.map(({ metadata }) => `${name}/${metadata.namespace ?? ""}/${metadata.name}`));
    }
  }
  return paths.sort();
}
