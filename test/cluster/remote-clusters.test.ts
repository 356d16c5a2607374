import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { parseAllDocuments } from "yaml";
import { createKubernetesSource } from "../../src/kubernetes/kubernetes-source.ts";
import { createRemoteSource } from "../../src/kubernetes/remote-source.ts";
import { gatewayHosts } from "../../src/mesh/network-gateways.ts";
import type { ObjectSet } from "../../src/mesh/object-set.ts";
import { createSnapshotBuilder } from "../../src/mesh/snapshot.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { systemRandom } from "../../src/platform/random.ts";
import { until } from "../support/until.ts";
import { create } from "./create.ts";
import { installIstioKinds } from "./istio-crds.ts";
import { findKubernetes } from "./programs.ts";
import { startRelay } from "./relay.ts";
import { adminClient } from "./service-account.ts";
import { startKubernetes, type TestKubernetes } from "./start-kubernetes.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : false;
const SYSTEM = "trysail-system";
const SECRETS = `/api/v1/namespaces/${SYSTEM}/secrets`;
const RBAC = "/apis/rbac.authorization.k8s.io/v1";
const MERGE = "application/merge-patch+json";
/** Kinds that are not there are looked for every 10 s. */
const PATIENT = { timeoutMs: 60_000 };
/** Of the account by which another cluster is read. */
const READER = readerRules();

test("a mesh of two clusters, by their real API servers", { skip, timeout: 180_000 }, async (t) => {
  if ("missing" in found) return;
  const programs = { ...found.programs, controllerManager: null };
  const [home, east] = await Promise.all([startKubernetes(t, programs), startKubernetes(t, programs)]);
  for (const cluster of [home, east]) {
    for (const name of [SYSTEM, "shop"]) await create(cluster, "/api/v1/namespaces", { metadata: { name } });
  }
  await addWeb(home, "10.1.0.1");
  await addWeb(east, "10.2.0.1");

  const client = await adminClient(t, home);
  const deps = { client, clock: systemClock, random: systemRandom, log: createLog("silent") };
  const timing = { firstRetryMs: 50, longestRetryMs: 200, pollMs: 200 };
  const source = createRemoteSource({
    ...deps,
    timing,
    namespace: SYSTEM,
    ownCluster: "Kubernetes",
    source: createKubernetesSource({ ...deps, timing }),
  });
  await source.start();
  t.after(() => source.stop());
  const snapshots = createSnapshotBuilder("cluster.local");
  const addresses = (): string[] => {
    const mesh = snapshots.build(source.current());
    const web = mesh.services.find(({ hostname }) => hostname === "web.shop.svc.cluster.local");
    return web === undefined ? [] : mesh.endpointsOf(web).endpoints.map(({ address }) => address);
  };
  const see = (...expected: string[]) =>
    until(`endpoints ${expected}`, () => JSON.stringify(addresses()) === JSON.stringify(expected), PATIENT);
  const statusOf = (cluster: string) => source.remotes().find((remote) => remote.cluster === cluster);
  const findings = () => source.current().findings.map(({ message }) => message);
  const relay = await startRelay(t, east);
  const eastBy = (account: string) => kubeconfigOf(east, account, relay.url);

  await t.test("alone, it has its own endpoints", async () => {
    assert.deepEqual(source.remotes(), []);
    await see("10.1.0.1");
  });

  await t.test("a labelled Secret adds a cluster, and what changes there arrives", async () => {
    await create(home, SECRETS, secretNamed("east", { east: await eastBy("first") }));
    await see("10.1.0.1", "10.2.0.1");
    assert.deepEqual(statusOf("east"), { cluster: "east", secret: `${SYSTEM}/east`, status: "synced" });
    await moveWeb(east, "10.2.0.2");
    await see("10.1.0.1", "10.2.0.2");
    assert.ok(relay.open() > 0, "the connections that are counted below");
  });

  await t.test("an unlabelled Secret adds nothing", async () => {
    const { metadata, ...secret } = secretNamed("unlabelled", { west: "{}" });
    await create(home, SECRETS, { ...secret, metadata: { name: metadata.name } });
    await moveWeb(east, "10.2.0.3");
    await see("10.1.0.1", "10.2.0.3");
    assert.deepEqual(
      source.remotes().map(({ cluster }) => cluster),
      ["east"],
    );
  });

  await t.test("new credentials are taken over without a gap, and the old ones are not needed any more", async () => {
    const seen = new Set<string>();
    const unsubscribe = source.onChange(() => seen.add(addresses().join()));
    await home.call("PATCH", `${SECRETS}/east`, dataOf({ east: await eastBy("second") }), MERGE);
    await east.call("DELETE", `${RBAC}/clusterrolebindings/first`);
    await moveWeb(east, "10.2.0.4");
    await see("10.1.0.1", "10.2.0.4");
    unsubscribe();
    assert.ok(
      [...seen].every((list) => list.includes("10.2.0.")),
      `never without the other cluster: ${[...seen]}`,
    );
  });

  await t.test("a kubeconfig that cannot be used is told of, and the last good one stays", async () => {
    await home.call("PATCH", `${SECRETS}/east`, dataOf({ east: "not a kubeconfig" }), MERGE);
    await until("the finding", () => findings().some((each) => /Secret trysail-system\/east/.test(each)));
    assert.match(findings().join("\n"), /cluster east cannot be followed .*is not a kubeconfig.* stays in use/);
    await moveWeb(east, "10.2.0.5");
    await see("10.1.0.1", "10.2.0.5");
    await home.call("PATCH", `${SECRETS}/east`, dataOf({ east: await eastBy("third") }), MERGE);
    await until("no findings", () => findings().length === 0);
  });

  const refused: readonly [title: string, kubeconfig: (text: string) => string, reason: RegExp][] = [
    ["a program", (text) => text.replace('"token":', '"exec":{"command":"id"},"token":'), /names a program/],
    ["a file", (text) => text.replace('"token":', '"tokenFile":"/etc/passwd","none":'), /names a file for tokenFile/],
    [
      "a proxy",
      (text) => text.replace('"server":', '"proxy-url":"http://127.0.0.1:1","server":'),
      /names a program, a proxy/,
    ],
    [
      "no verification",
      (text) => text.replace('"server":', '"insecure-skip-tls-verify":true,"server":'),
      /no way to trust/,
    ],
    ["no credentials", (text) => text.replace('"token":', '"none":'), /neither a token nor a client certificate/],
  ];
  for (const [title, change, reason] of refused) {
    await t.test(`a kubeconfig with ${title} is refused`, async () => {
      const name = `bad-${title.replaceAll(" ", "-")}`;
      const text = change(await eastBy("third"));
      await create(home, SECRETS, secretNamed(name, { [name]: text }));
      await until("its status", () => statusOf(name));
      assert.equal(statusOf(name)?.status, "unusable");
      assert.match(statusOf(name)?.reason ?? "", reason);
      assert.ok(!JSON.stringify(source.current().findings).includes("eyJ"), "no token is shown");
      await home.call("DELETE", `${SECRETS}/${name}`);
      await until("it to be gone", () => statusOf(name) === undefined);
    });
  }

  await t.test("one name for two clusters, or for this one, is told of and changes nothing", async () => {
    const text = await kubeconfigOf(home, "self", home.url);
    await create(home, SECRETS, secretNamed("imposter", { Kubernetes: text, east: text }));
    await until("two findings", () => findings().length === 2);
    assert.match(findings().join("\n"), /data\["Kubernetes"\] names a cluster that this control plane's own/);
    assert.match(findings().join("\n"), /data\["east"\] names a cluster that trysail-system\/east is already/);
    await see("10.1.0.1", "10.2.0.5");
    await home.call("DELETE", `${SECRETS}/imposter`);
    await until("no findings", () => findings().length === 0);
  });

  await t.test("while the other API server is away its endpoints stay, and its news come when it is back", async () => {
    await east.stopApiServer();
    await until("the trouble", () => statusOf("east")?.reason !== undefined, PATIENT);
    assert.deepEqual(addresses(), ["10.1.0.1", "10.2.0.5"]);
    await east.startApiServer();
    await moveWeb(east, "10.2.0.6");
    await see("10.1.0.1", "10.2.0.6");
    await until("no trouble", () => statusOf("east")?.reason === undefined, PATIENT);
  });

  await t.test(
    "credentials that the API server does not know are told of, and a start does not wait for them",
    async () => {
      const text = (await eastBy("fourth")).replace(/"token":"[^"]*"/, '"token":"nobody"');
      await create(home, SECRETS, secretNamed("stranger", { stranger: text }));
      await until("its status", () => statusOf("stranger")?.status === "unusable", PATIENT);
      assert.match(statusOf("stranger")?.reason ?? "", /Unauthorized/);
      const beganMs = performance.now();
      const other = createRemoteSource({
        ...deps,
        timing,
        namespace: SYSTEM,
        ownCluster: "Kubernetes",
        source: createKubernetesSource({ ...deps, timing }),
      });
      t.after(() => other.stop());
      await other.start();
      assert.ok(performance.now() - beganMs < 25_000, "less than it waits for clusters that do not answer");
      assert.deepEqual(
        other.current().remotes?.map(({ cluster }) => cluster),
        ["east"],
      );
      await home.call("DELETE", `${SECRETS}/stranger`);
      await until("it to be gone", () => statusOf("stranger") === undefined);
    },
  );

  await t.test("endpoints are in the networks that the mesh's ConfigMap names, by their clusters", async () => {
    const meshNetworks =
      "networks: {here: {endpoints: [{fromRegistry: home}]}, there: {endpoints: [{fromRegistry: east}]}}";
    await create(home, `/api/v1/namespaces/${SYSTEM}/configmaps`, {
      metadata: { name: "istio" },
      data: { mesh: "{}", meshNetworks },
    });
    const named = createSnapshotBuilder("cluster.local", { systemNamespace: SYSTEM, cluster: "home" });
    const places = () => {
      const mesh = named.build(source.current());
      const web = mesh.services.find(({ hostname }) => hostname === "web.shop.svc.cluster.local");
      const endpoints = web === undefined ? [] : mesh.endpointsOf(web).endpoints;
      return endpoints.map(({ address, cluster, network }) => `${address} ${cluster} ${network}`).join();
    };
    await until("both networks", () => places() === "10.1.0.1 home here,10.2.0.6 east there", PATIENT);
  });

  await t.test("a gateway there is known by the host name of its load balancer", async () => {
    const path = "/api/v1/namespaces/shop/services";
    await create(east, path, {
      metadata: { name: "eastwest", labels: { "topology.istio.io/network": "there" } },
      spec: { type: "LoadBalancer", selector: { istio: "eastwest" }, ports: [{ name: "tls", port: 15443 }] },
    });
    const status = { loadBalancer: { ingress: [{ hostname: "gate.example.com" }] } };
    assert.equal((await east.call("PATCH", `${path}/eastwest/status`, { status }, MERGE)).status, 200);
    await until("its name", () => {
      const objects = source.current().remotes?.flatMap((remote) => remote.objects) ?? [];
      const hosts = objects.flatMap((object) => (object.kind === "Service" ? gatewayHosts(object) : []));
      return hosts.join() === "gate.example.com";
    });
  });

  await t.test(
    "WorkloadEntries there are endpoints, once their CRD is installed, and no longer when they go",
    async () => {
      await installIstioKinds(east, ["WorkloadEntry"]);
      const entries = "/apis/networking.istio.io/v1/namespaces/shop/workloadentries";
      for (const [name, address] of [
        ["machine", "10.2.9.1"],
        ["named", "machine.example.com"],
      ]) {
        await create(east, entries, {
          ...{ apiVersion: "networking.istio.io/v1", kind: "WorkloadEntry", metadata: { name } },
          spec: { address, labels: { app: "web" }, serviceAccount: "web" },
        });
      }
      await see("10.1.0.1", "10.2.0.6", "10.2.9.1");
      await east.call("DELETE", `${entries}/machine`);
      await see("10.1.0.1", "10.2.0.6");
    },
  );

  await t.test("without the right to read WorkloadEntries the rest is read, and a Finding says so", async () => {
    const name = "fifth";
    const rules = READER.filter(({ resources }) => !resources.includes("workloadentries"));
    const kubeconfig = await kubeconfigOf(east, name, relay.url, rules);
    await home.call("PATCH", `${SECRETS}/east`, dataOf({ east: kubeconfig }), MERGE);
    await until("the finding", () => /WorkloadEntry is forbidden/.test(findings().join()), PATIENT);
    await moveWeb(east, "10.2.0.7");
    await see("10.1.0.1", "10.2.0.7");
    await east.call("PATCH", `${RBAC}/clusterroles/${name}`, { rules: READER }, MERGE);
    await until("no findings", () => findings().length === 0, PATIENT);
  });

  await t.test("credentials are rotated again and again", async () => {
    for (let round = 0; round < 5; round++) {
      await home.call("PATCH", `${SECRETS}/east`, dataOf({ east: await eastBy(`round-${round}`) }), MERGE);
      const bindings = `${RBAC}/clusterrolebindings`;
      const last = round === 0 ? "fifth" : `round-${round - 1}`;
      assert.equal((await east.call("DELETE", `${bindings}/${last}`)).status, 200);
      await moveWeb(east, `10.2.1.${round}`);
      await see("10.1.0.1", `10.2.1.${round}`);
    }
  });

  await t.test(
    "without its Secret a cluster is gone, and nothing of it stays open or in memory, nor of its rotations",
    async () => {
      const held = heldOf(source.current());
      await home.call("DELETE", `${SECRETS}/east`);
      await see("10.1.0.1");
      assert.deepEqual(source.remotes(), []);
      await until("its connections to be closed", () => relay.open() === 0);
      await until("its objects to be freed", () => {
        addresses();
        collectGarbage();
        return held.every((object) => object.deref() === undefined);
      });
    },
  );

  await t.test("a start waits for clusters that answer", async () => {
    await create(home, SECRETS, secretNamed("east", { east: await eastBy("fourth") }));
    const second = createRemoteSource({
      ...deps,
      timing,
      namespace: SYSTEM,
      ownCluster: "Kubernetes",
      source: createKubernetesSource({ ...deps, timing }),
    });
    t.after(() => second.stop());
    await second.start();
    assert.deepEqual(
      second.current().remotes?.map(({ cluster }) => cluster),
      ["east"],
    );
  });
});

function secretNamed(name: string, files: Readonly<Record<string, string>>) {
  return { metadata: { name, labels: { "istio/multiCluster": "true" } }, ...dataOf(files) };
}

function dataOf(files: Readonly<Record<string, string>>) {
  return {
    data: Object.fromEntries(Object.entries(files).map(([key, text]) => [key, Buffer.from(text).toString("base64")])),
  };
}

/** For an account of its own that may read what a mesh reads of another cluster, and nothing else. */
async function kubeconfigOf(
  kubernetes: TestKubernetes,
  account: string,
  server: string,
  rules: typeof READER = READER,
): Promise<string> {
  const accounts = `/api/v1/namespaces/${SYSTEM}/serviceaccounts`;
  await kubernetes.call("POST", accounts, { metadata: { name: account } });
  await kubernetes.call("POST", `${RBAC}/clusterroles`, { metadata: { name: account }, rules });
  await kubernetes.call("POST", `${RBAC}/clusterrolebindings`, {
    metadata: { name: account },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: account },
    subjects: [{ kind: "ServiceAccount", name: account, namespace: SYSTEM }],
  });
  const { body } = await kubernetes.call("POST", `${accounts}/${account}/token`, { spec: {} });
  const ca = Buffer.from(kubernetes.rootPem).toString("base64");
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "c", cluster: { server, "certificate-authority-data": ca } }],
    users: [{ name: "u", user: { token: body.status.token } }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
    "current-context": "x",
  });
}

/** What the other clusters hold. Kept apart, so that the test itself holds none of it. */
function heldOf({ remotes = [] }: ObjectSet): readonly WeakRef<object>[] {
  const held = remotes.flatMap(({ objects }) => objects).map((object) => new WeakRef(object));
  assert.ok(held.length > 0);
  return held;
}

function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
}

/** As docs/multicluster.md has it. */
function readerRules(): readonly { readonly resources: readonly string[] }[] {
  const guide = readFileSync(new URL("../../docs/multicluster.md", import.meta.url), "utf8");
  const [, yaml = ""] = /```yaml\n(.*?)```/s.exec(guide) ?? [];
  const role = parseAllDocuments(yaml).find((document) => document.get("kind") === "ClusterRole");
  assert.ok(role !== undefined, "the guide has a ClusterRole");
  return role.toJS().rules;
}

async function addWeb(kubernetes: TestKubernetes, ip: string): Promise<void> {
  await create(kubernetes, "/api/v1/namespaces/shop/services", {
    metadata: { name: "web" },
    spec: { selector: { app: "web" }, ports: [{ name: "http", port: 80 }] },
  });
  await create(kubernetes, "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices", {
    metadata: { name: "web-1", labels: { "kubernetes.io/service-name": "web" } },
    addressType: "IPv4",
    ports: [{ name: "http", port: 8080 }],
    endpoints: [{ addresses: [ip] }],
  });
}

async function moveWeb(kubernetes: TestKubernetes, ip: string): Promise<void> {
  const path = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/web-1";
  await kubernetes.call("PATCH", path, { endpoints: [{ addresses: [ip] }] }, MERGE);
}
