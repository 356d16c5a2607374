import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { type TestContext, test } from "node:test";
import { createKubernetesClient, type KubernetesClient } from "../../src/kubernetes/client.ts";
import { openKubeconfig } from "../../src/kubernetes/kubeconfig.ts";
import { createKubernetesSource, type KubernetesSource } from "../../src/kubernetes/kubernetes-source.ts";
import type { KnownObject } from "../../src/mesh/kinds.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { systemRandom } from "../../src/platform/random.ts";
import type { Source } from "../../src/sources/source.ts";
import { temporaryPath } from "../support/state.ts";
import { until } from "../support/until.ts";
import { create } from "./create.ts";
import { everyIstioKind, installIstioKinds, uninstallIstioKind } from "./istio-crds.ts";
import { findKubernetes } from "./programs.ts";
import { startRelay } from "./relay.ts";
import { adminClient, podClient, type Rule } from "./service-account.ts";
import { startKubernetes } from "./start-kubernetes.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : false;
const NETWORKING = "/apis/networking.istio.io/v1/namespaces/shop";
const MERGE = "application/merge-patch+json";

test("the mesh's objects from a real API server", { skip, timeout: 180_000 }, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, found.programs);
  await installIstioKinds(
    kubernetes,
    everyIstioKind.filter((kind) => kind !== "ProxyConfig"),
  );
  for (const name of ["shop", "istio-system"]) await create(kubernetes, "/api/v1/namespaces", { metadata: { name } });
  await kubernetes.call("POST", "/api/v1/namespaces/shop/serviceaccounts", { metadata: { name: "default" } });
  await create(kubernetes, "/api/v1/namespaces/shop/services", service("web"));
  await create(kubernetes, "/api/v1/namespaces/shop/pods", pod("web-1"));
  await create(kubernetes, "/api/v1/namespaces/istio-system/configmaps", meshConfig("istio"));
  await create(kubernetes, "/api/v1/namespaces/istio-system/configmaps", meshConfig("other"));
  await create(kubernetes, `${NETWORKING}/virtualservices`, virtualService("web", "web"));
  await create(kubernetes, "/api/v1/nodes", { metadata: { name: "one", labels: { zone: "a" } } });
  const client = await adminClient(t, kubernetes);
  const source = await startedSource(t, client);

  await t.test("the first set is complete, in order, and of what the mesh reads alone", () => {
    const { objects, findings } = source.current();
    const own = objects.filter(({ metadata }) => ["shop", "istio-system", ""].includes(metadata.namespace));
    const names = own.map(({ kind, metadata }) => `${kind} ${metadata.namespace}/${metadata.name}`);
    assert.deepEqual(
      names.filter((name) => !/Namespace \/(default|kube-)/.test(name)),
      [
        "ConfigMap istio-system/istio",
        "Namespace /istio-system",
        "Namespace /shop",
        "Node /one",
        "Pod shop/web-1",
        "Service shop/web",
        "VirtualService shop/web",
      ],
    );
    assert.deepEqual(findings, []);
    const known = find(source, "Pod", "web-1");
    assert.deepEqual(known?.kind === "Pod" && known.spec.containers, [{ name: "app" }]);
    assert.deepEqual(known?.metadata.annotations, { note: "kept" });
    assert.equal(known?.metadata.resourceVersion, undefined);
    assert.deepEqual(find(source, "Node", "one")?.metadata.labels, { zone: "a" });
  });

  await t.test("what is created, changed and deleted arrives, and the rest keeps its identity", async () => {
    const web = find(source, "Service", "web");
    await create(kubernetes, "/api/v1/namespaces/shop/services", service("api"));
    await until("the new service", () => find(source, "Service", "api"));
    const change = { metadata: { labels: { changed: "yes" } } };
    await kubernetes.call("PATCH", "/api/v1/namespaces/shop/services/api", change, MERGE);
    await until("the change", () => find(source, "Service", "api")?.metadata.labels.changed === "yes");
    await kubernetes.call("DELETE", "/api/v1/namespaces/shop/services/api");
    await until("the deletion", () => find(source, "Service", "api") === undefined);
    assert.equal(find(source, "Service", "web"), web);
  });

  await t.test("a write that changes nothing the mesh reads is no change", async () => {
    let changes = 0;
    t.after(source.onChange(() => changes++));
    const before = find(source, "Pod", "web-1");
    const path = "/api/v1/namespaces/shop/pods/web-1";
    const annotations = { "kubectl.kubernetes.io/last-applied-configuration": "{}" };
    assert.equal((await kubernetes.call("PATCH", path, { metadata: { annotations } }, MERGE)).status, 200);
    const spec = { activeDeadlineSeconds: 3600 };
    assert.equal((await kubernetes.call("PATCH", path, { spec }, MERGE)).status, 200);
    // Events of one kind come in order: once this one is here, the others were.
    await kubernetes.call("PATCH", path, { metadata: { labels: { last: "yes" } } }, MERGE);
    const after = await until("the last change", () => {
      const now = find(source, "Pod", "web-1");
      return now?.metadata.labels.last === "yes" && now;
    });
    assert.notEqual(after, before);
    assert.equal(changes, 1);
  });

  await t.test("a pod that has ended is of no interest any more", async () => {
    await create(kubernetes, "/api/v1/namespaces/shop/pods", pod("job"));
    await until("the pod", () => find(source, "Pod", "job"));
    const status = { status: { phase: "Succeeded" } };
    await kubernetes.call("PATCH", "/api/v1/namespaces/shop/pods/job/status", status, MERGE);
    await until("its end", () => find(source, "Pod", "job") === undefined);
  });

  await t.test(
    "of an object that becomes bad the last good version stays, with a finding until it is mended",
    async () => {
      const good = find(source, "VirtualService", "web");
      const bad = { spec: { http: [{ route: [{ destination: { host: "web" }, weight: "much" }] }] } };
      await kubernetes.call("PATCH", `${NETWORKING}/virtualservices/web`, bad, MERGE);
      const [finding] = await until(
        "a finding",
        () => source.current().findings.length > 0 && source.current().findings,
      );
      assert.equal(finding?.severity, "error");
      assert.match(
        finding?.message ?? "",
        /spec\.http\[0\]\.route\[0\]\.weight .*; its last good version stays in use/,
      );
      assert.deepEqual(finding?.object, { kind: "VirtualService", namespace: "shop", name: "web" });
      assert.equal(find(source, "VirtualService", "web"), good);
      const mended = virtualService("web", "elsewhere").spec;
      await kubernetes.call("PATCH", `${NETWORKING}/virtualservices/web`, { spec: mended }, MERGE);
      await until("the finding to go", () => source.current().findings.length === 0);
      assert.match(JSON.stringify(find(source, "VirtualService", "web")), /elsewhere/);
    },
  );

  await t.test("a kind whose CRD comes later is noticed, and when it goes its objects go", async () => {
    await installIstioKinds(kubernetes, ["ProxyConfig"]);
    const proxyConfigs = "/apis/networking.istio.io/v1beta1/namespaces/shop/proxyconfigs";
    await create(kubernetes, proxyConfigs, {
      apiVersion: "networking.istio.io/v1beta1",
      kind: "ProxyConfig",
      metadata: { name: "two" },
      spec: { concurrency: 2 },
    });
    await until("the new kind", () => find(source, "ProxyConfig", "two"));
    await uninstallIstioKind(kubernetes, "ProxyConfig");
    await until("the kind to go", () => find(source, "ProxyConfig", "two") === undefined);
    await installIstioKinds(kubernetes, ["ProxyConfig"]);
  });

  await t.test(
    "while the API server is away everything stays, and what happened meanwhile is made up for",
    async () => {
      const before = source.current();
      let changes = 0;
      t.after(source.onChange(() => changes++));
      await kubernetes.stopApiServer();
      await until("a watch to fail", async () => {
        await assert.rejects(client.get("/api/v1/namespaces/shop/services/web"));
        return true;
      });
      assert.equal(source.current(), before);
      await kubernetes.startApiServer();
      await create(kubernetes, "/api/v1/namespaces/shop/services", service("late"));
      await until("the new service", () => find(source, "Service", "late"));
      const kept = source.current().objects.filter(({ metadata }) => metadata.name !== "late");
      const lost = before.objects
        .filter((object) => !kept.includes(object))
        .map(({ kind, metadata }) => [kind, metadata.name]);
      assert.deepEqual(lost, []);
      assert.ok(changes > 0);
    },
  );
});

test("what was missed is made up for where the API server has forgotten it", { skip, timeout: 180_000 }, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, { ...found.programs, controllerManager: null });
  await installIstioKinds(kubernetes, ["VirtualService"]);
  await create(kubernetes, "/api/v1/namespaces", { metadata: { name: "shop" } });
  for (const name of ["gone", "changed"]) {
    await create(kubernetes, `${NETWORKING}/virtualservices`, virtualService(name, "old"));
  }
  const relay = await startRelay(t, kubernetes);
  const path = await temporaryPath(t, "relayed");
  await writeFile(path, (await readFile(kubernetes.kubeconfig, "utf8")).replace(kubernetes.url, relay.url));
  const client = createKubernetesClient({ connection: await openKubeconfig(path, systemClock), clock: systemClock });
  t.after(() => client.close());
  const source = await startedSource(t, client);
  const { resourceVersion } = (await kubernetes.call("GET", `${NETWORKING}/virtualservices`)).body.metadata;

  relay.cut();
  await kubernetes.call("DELETE", `${NETWORKING}/virtualservices/gone`);
  const changed = { spec: virtualService("changed", "new").spec };
  await kubernetes.call("PATCH", `${NETWORKING}/virtualservices/changed`, changed, MERGE);
  await create(kubernetes, `${NETWORKING}/virtualservices`, virtualService("came", "new"));
  // One that starts anew knows no events of before.
  await kubernetes.stopApiServer();
  await kubernetes.startApiServer();
  const options = { resourceVersion, lifeSeconds: 60, silenceMs: 60_000 };
  const admin = await adminClient(t, kubernetes);
  await assert.rejects(
    async () => {
      for await (const event of await admin.watch(`${NETWORKING}/virtualservices`, options)) assert.fail(event.type);
    },
    { code: "failed-precondition" },
  );
  assert.ok(find(source, "VirtualService", "gone"), "it is cut off");
  relay.mend();
  await until("what came", () => find(source, "VirtualService", "came"), { timeoutMs: 60_000 });
  assert.equal(find(source, "VirtualService", "gone"), undefined);
  assert.match(JSON.stringify(find(source, "VirtualService", "changed")), /new/);
});

test("a kind of an older CRD is read in the version that it serves", { skip, timeout: 180_000 }, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, { ...found.programs, controllerManager: null });
  await create(kubernetes, "/api/v1/namespaces", { metadata: { name: "shop" } });
  await installIstioKinds(kubernetes, ["VirtualService", "AuthorizationPolicy"]);
  const definition = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/virtualservices.networking.istio.io";
  /** The CRD serves these of its versions alone. */
  const serve = async (...names: string[]) => {
    const { body } = await kubernetes.call("GET", definition);
    const versions = body.spec.versions.map((version: { name: string }) => ({
      ...version,
      served: names.includes(version.name),
    }));
    assert.equal((await kubernetes.call("PATCH", definition, { spec: { versions } }, MERGE)).status, 200);
    const paths = ["v1", "v1beta1", "v1alpha3"].map((name) => `/apis/networking.istio.io/${name}/virtualservices`);
    await until(`${names} to be served`, async () => {
      const answers = await Promise.all(paths.map((path) => kubernetes.call("GET", path)));
      return answers.filter(({ status }) => status === 200).length === names.length;
    });
  };
  await serve("v1beta1");
  const older = { ...virtualService("web", "web"), apiVersion: "networking.istio.io/v1beta1" };
  await create(kubernetes, "/apis/networking.istio.io/v1beta1/namespaces/shop/virtualservices", older);
  const { source } = newSource(t, await adminClient(t, kubernetes));
  await source.start();
  assert.ok(find(source, "VirtualService", "web"));
  const version = () => source.served().find(({ entry }) => entry.kind === "VirtualService")?.apiVersion;
  assert.equal(version(), "networking.istio.io/v1beta1");

  let wasThere = true;
  t.after(source.onChange(() => (wasThere &&= find(source, "VirtualService", "web") !== undefined)));
  await serve("v1");
  await until("the version that is left", () => version() === "networking.istio.io/v1", { timeoutMs: 30_000 });
  await create(kubernetes, `${NETWORKING}/virtualservices`, virtualService("new", "web"));
  await until("what is new there", () => find(source, "VirtualService", "new"));
  assert.ok(wasThere, "what was read before stays meanwhile");
});

const readers: readonly Rule[] = [
  { apiGroups: [""], resources: ["namespaces", "services", "pods", "configmaps", "nodes"], verbs: ["list", "watch"] },
  { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list", "watch"] },
];
const networking = (verbs: readonly string[]): Rule => ({
  apiGroups: ["networking.istio.io"],
  resources: ["*"],
  verbs,
});
const security = (verbs: readonly string[]): Rule => ({ apiGroups: ["security.istio.io"], resources: ["*"], verbs });

test("what a role does not allow is named, and the rest works", { skip, timeout: 180_000 }, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, found.programs);
  await installIstioKinds(kubernetes, ["VirtualService", "AuthorizationPolicy"]);
  await create(kubernetes, "/api/v1/namespaces", { metadata: { name: "shop" } });
  await create(kubernetes, `${NETWORKING}/virtualservices`, virtualService("web", "web"));

  await t.test("without list, the kind has no effect until it is granted", async (t) => {
    const rules = [...readers, security(["list", "watch"])];
    const client = await podClient(t, kubernetes, { name: "no-list", rules });
    const source = await startedSource(t, client);
    const [finding, ...others] = source.current().findings;
    assert.equal(
      finding?.message,
      "the control plane may not list virtualservices.networking.istio.io: grant it the verb in its ClusterRole; until then they have no effect, the rest is served",
    );
    assert.deepEqual([finding?.severity, finding?.code, others], ["error", "source-unreadable", []]);
    await client.setRules([...rules, networking(["list", "watch"])]);
    await until("the object", () => find(source, "VirtualService", "web"));
    // It was listed; that it is watched too comes a moment later.
    await until("no finding", () => source.current().findings.length === 0);
  });

  await t.test("without watch, the kind is polled", async (t) => {
    const rules = [...readers, security(["list", "watch"]), networking(["list"])];
    const client = await podClient(t, kubernetes, { name: "no-watch", rules });
    const source = await startedSource(t, client);
    assert.ok(find(source, "VirtualService", "web"));
    const [finding] = await until("a finding", () => source.current().findings.length > 0 && source.current().findings);
    assert.match(finding?.message ?? "", /may not watch virtualservices\.networking\.istio\.io: .* changes come late$/);
    await create(kubernetes, `${NETWORKING}/virtualservices`, virtualService("polled", "web"));
    await until("the next poll", () => find(source, "VirtualService", "polled"));
  });

  await t.test("where policies may not be listed, nothing is served until it is granted", async (t) => {
    const client = await podClient(t, kubernetes, { name: "no-policies", rules: readers });
    const { source, log } = newSource(t, client);
    const started = source.start().then(() => true);
    await until("the reason in the log", () =>
      log.find((line) => /may not list authorizationpolicies\.security/.test(line)),
    );
    assert.equal(await Promise.race([started, Promise.resolve(false)]), false);
    await client.setRules([...readers, security(["list", "watch"])]);
    assert.equal(await started, true);
  });

  await t.test("credentials that the API server does not know end the start", async (t) => {
    const client = await podClient(t, kubernetes, { name: "unknown", rules: [] });
    await kubernetes.call("DELETE", "/api/v1/namespaces/trysail-system/serviceaccounts/unknown");
    // An API server that has not heard of the deletion yet remembers the token, which it takes for good, for 10 s.
    await until(
      "the token to be refused",
      async () => {
        await assert.rejects(client.get("/api/v1/namespaces/shop"), { code: "unauthenticated" });
        return true;
      },
      { timeoutMs: 30_000, everyMs: 100 },
    );
    await assert.rejects(newSource(t, client).source.start(), { code: "unauthenticated" });
  });
});

function newSource(t: TestContext, client: KubernetesClient): { source: KubernetesSource; log: readonly string[] } {
  const lines: string[] = [];
  const source = createKubernetesSource({
    client,
    clock: systemClock,
    random: systemRandom,
    log: createLog("info", { write: (line) => lines.push(line) }),
    timing: { pollMs: 200, longestRetryMs: 500 },
    discoveryMs: 200,
  });
  t.after(() => source.stop());
  return { source, log: lines };
}

async function startedSource(t: TestContext, client: KubernetesClient): Promise<Source> {
  const { source } = newSource(t, client);
  await source.start();
  return source;
}

function find(source: Source, kind: string, name: string): KnownObject | undefined {
  return source.current().objects.find((object) => object.kind === kind && object.metadata.name === name);
}

function service(name: string) {
  return { metadata: { name }, spec: { selector: { app: name }, ports: [{ name: "http", port: 80 }] } };
}

function pod(name: string) {
  const containers = [{ name: "app", image: "example.com/app:1", env: [{ name: "UNREAD", value: "x" }] }];
  return { metadata: { name, annotations: { note: "kept" } }, spec: { containers } };
}

function meshConfig(name: string) {
  return { metadata: { name }, data: { mesh: "enableAutoMtls: true" } };
}

function virtualService(name: string, host: string) {
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: { name },
    spec: { hosts: [name], http: [{ route: [{ destination: { host } }] }] },
  };
}
