import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { endpoint, istio, pod, service } from "../../test/support/manifests.ts";
import { objectsOf, setOf } from "../../test/support/mesh.ts";
import { meshChange, meshObjects, proxies, withObjects } from "../../test/support/random-mesh.ts";
import type { KnownObject } from "../mesh/kinds.ts";
import { createSnapshotBuilder, type MeshSnapshot } from "../mesh/snapshot.ts";
import { BuildCache } from "../platform/build-cache.ts";
import { type ProxyResources, TYPE_URL } from "../xds/resource-set.ts";
import { createTranslator, type ProxyDescription } from "./translator.ts";

const snapshotOf = (objects: readonly KnownObject[]): MeshSnapshot =>
  createSnapshotBuilder("cluster.local").build(setOf(objects));

/** Names and versions, which are hashes of the bytes, by type. */
function versions(resources: ProxyResources): Record<string, Record<string, string>> {
  return Object.fromEntries(
    [...resources].map(([typeUrl, { byName }]) => [
      typeUrl,
      Object.fromEntries([...byName.values()].map(({ name, version }) => [name, version])),
    ]),
  );
}

const translateAll = (objects: readonly KnownObject[]) => {
  const translator = createTranslator(snapshotOf(objects));
  return proxies.map((proxy) => versions(translator.translate(proxy)));
};

test("the order in which a source lists objects changes no byte", () => {
  const shuffled = meshObjects.chain((objects) =>
    fc.record({
      objects: fc.constant(objects),
      others: fc.shuffledSubarray([...objects], { minLength: objects.length }),
    }),
  );
  fc.assert(
    fc.property(shuffled, ({ objects, others }) => {
      assert.deepEqual(translateAll(others), translateAll(objects));
    }),
    { numRuns: 100 },
  );
});

test("a mesh that changed step by step is translated like one that was there at once, from declared inputs alone", () => {
  fc.assert(
    fc.property(meshObjects, fc.array(meshChange, { minLength: 1, maxLength: 6 }), (start, changes) => {
      const snapshots = createSnapshotBuilder("cluster.local", { cache: new BuildCache({ verify: true }) });
      const translator = createTranslator(snapshots.build(setOf(start)), new BuildCache({ verify: true }));
      let objects = start;
      for (const { put, removeEvery } of changes) {
        objects = withObjects(
          objects.filter((_, index) => index % removeEvery !== 1),
          put,
        );
        translator.update(snapshots.build(setOf(objects)));
        const stepwise = proxies.map((proxy) => versions(translator.translate(proxy)));
        assert.deepEqual(stepwise, translateAll(objects));
      }
    }),
    { numRuns: 100 },
  );
});

const web = { name: "web-0", ip: "10.1.0.1", labels: { app: "web" }, tls: true };
const caller = { name: "caller-0", ip: "10.1.0.9", labels: { app: "caller" } };
const routing = istio("VirtualService", "web", {
  hosts: ["web", "web.example.com"],
  http: [{ route: [{ destination: { host: "web" } }] }],
});
const yaml = [
  pod(web),
  service({ name: "web", ports: { http: 80, tcp: 81 }, clusterIP: "10.96.0.1" }),
  endpoint("web", web, { http: 8080, tcp: 8081 }),
  pod(caller),
  pod({ ...caller, name: "caller-1", ip: "10.1.0.10" }),
  service({ name: "other", ports: { http: 80 }, clusterIP: "10.96.0.2" }),
  routing,
].join("");

/** A translator, and what changes when objects are put into its mesh. */
function startTranslator() {
  const snapshots = createSnapshotBuilder("cluster.local");
  let objects: readonly KnownObject[] = withObjects([], objectsOf(yaml));
  const cache = new BuildCache();
  const translator = createTranslator(snapshots.build(setOf(objects)), cache);
  return {
    cache,
    translate: (name = "caller-0") => translator.translate(proxyNamed(name)),
    put(more: string) {
      objects = withObjects(objects, objectsOf(more));
      translator.update(snapshots.build(setOf(objects)));
    },
  };
}

const proxyNamed = (name: string): ProxyDescription => ({
  name,
  namespace: "shop",
  ipAddress: { "web-0": web.ip, "caller-1": "10.1.0.10" }[name] ?? caller.ip,
  labels: { app: name === "web-0" ? "web" : "caller" },
});

function changed(before: ProxyResources, after: ProxyResources): string[] {
  return Object.entries(TYPE_URL).flatMap(([type, typeUrl]) => {
    const [old, now] = [before.get(typeUrl)?.byName ?? new Map(), after.get(typeUrl)?.byName ?? new Map()];
    const names = new Set([...old.keys(), ...now.keys()]);
    return [...names].filter((name) => old.get(name) !== now.get(name)).map((name) => `${type} ${name}`);
  });
}

test("replicas share every set, whose bytes are made once", () => {
  const { translate, cache } = startTranslator();
  const first = translate("caller-0");
  const { built } = cache;
  const second = translate("caller-1");
  for (const [typeUrl, set] of first) assert.equal(second.get(typeUrl), set, typeUrl);
  assert.equal(cache.built, built);
});

test("an update that changes nothing keeps every set and builds nothing", () => {
  const { translate, put, cache } = startTranslator();
  const before = [translate("caller-0"), translate("web-0")];
  put("");
  const { built } = cache;
  const after = [translate("caller-0"), translate("web-0")];
  for (const [index, resources] of before.entries()) {
    for (const [typeUrl, set] of resources) assert.equal(after[index]?.get(typeUrl), set, typeUrl);
  }
  assert.equal(cache.built, built);
});

const changes: [what: string, yaml: string, proxy: string, changed: string[]][] = [
  [
    "an endpoint changes its service's assignments alone",
    pod({ ...web, name: "web-1", ip: "10.1.0.2" }) +
      endpoint("web", { ...web, name: "web-1", ip: "10.1.0.2" }, { http: 1 }),
    "caller-0",
    ["endpoint outbound|80||web.shop.svc.cluster.local"],
  ],
  [
    "a VirtualService changes a route table alone",
    routing.replace('"http":[', '"http":[{"match":[{"uri":{"exact":"/a"}}],"redirect":{"uri":"/b"}},'),
    "caller-0",
    ["route 80"],
  ],
  [
    "a DestinationRule changes its service's clusters and assignments",
    istio("DestinationRule", "other", { host: "other", trafficPolicy: { tls: { mode: "DISABLE" } } }),
    "caller-0",
    ["cluster outbound|80||other.shop.svc.cluster.local"],
  ],
  [
    "an AuthorizationPolicy changes the listener of the workloads that it selects",
    istio("AuthorizationPolicy", "web", { selector: { matchLabels: { app: "web" } }, rules: [{}] }),
    "web-0",
    ["listener virtualInbound"],
  ],
  [
    "a PeerAuthentication changes how a workload is called",
    istio("PeerAuthentication", "web", { selector: { matchLabels: { app: "web" } }, mtls: { mode: "DISABLE" } }),
    "caller-0",
    ["endpoint outbound|80||web.shop.svc.cluster.local", "endpoint outbound|81||web.shop.svc.cluster.local"],
  ],
];

for (const [what, yaml, proxy, expected] of changes) {
  test(what, () => {
    const { translate, put } = startTranslator();
    const before = translate(proxy);
    put(yaml);
    const after = translate(proxy);
    const differing = changed(before, after).filter((name) => {
      const [type, ...rest] = name.split(" ");
      const typeUrl = Object.entries(TYPE_URL).find(([key]) => key === type)?.[1];
      if (typeUrl === undefined) return true;
      const [old, now] = [before, after].map((resources) => resources.get(typeUrl)?.byName.get(rest.join(" ")));
      return old?.version !== now?.version;
    });
    assert.deepEqual(differing, expected);
  });
}

test("a change of endpoints asks for nothing again that does not depend on them", () => {
  const { translate, put, cache } = startTranslator();
  const services = Array.from({ length: 20 }, (_, index) =>
    service({ name: `s-${index}`, ports: { http: 80, tcp: 90 } }),
  );
  put(services.join(""));
  translate();
  const askedBy = (change: string) => {
    const before = cache.built + cache.reused;
    put(change);
    translate();
    return cache.built + cache.reused - before;
  };
  const byEndpoints = askedBy(endpoint("web", { ...web, name: "web-1", ip: "10.1.0.2" }, { http: 1 }));
  const byRoutes = askedBy(routing.replace("web.example.com", "www.example.com"));
  assert.ok(byEndpoints + services.length < byRoutes, `${byEndpoints} against ${byRoutes}`);
});

test("what only endpoints changed beside is at hand when something else changes", () => {
  const { translate, put } = startTranslator();
  const listeners = translate().get(TYPE_URL.listener);
  const [, admin] = [...(translate().get(TYPE_URL.cluster)?.byName.values() ?? [])];
  for (const ip of ["10.1.0.2", "10.1.0.3", "10.1.0.4"]) {
    put(endpoint("web", { ...web, name: "web-1", ip }, { http: 1 }));
    translate();
  }
  put(routing.replace("web.example.com", "www.example.com"));
  const after = translate();
  assert.equal(after.get(TYPE_URL.listener), listeners);
  assert.equal([...(after.get(TYPE_URL.cluster)?.byName.values() ?? [])][1], admin);
});

test("a pod of a headless service that comes is dialled by its own listener", () => {
  const { translate, put } = startTranslator();
  put(service({ name: "db", ports: { tcp: 5432 }, clusterIP: "None" }));
  translate();
  put(endpoint("db", { name: "db-0", ip: "10.1.0.7" }, { tcp: 5432 }));
  const listeners = [...(translate().get(TYPE_URL.listener)?.byName.keys() ?? [])];
  assert.ok(
    listeners.some((name) => name.includes("10.1.0.7")),
    listeners.join(" "),
  );
});

test("a host that no service has is routed on port 80 alone, as in Istio", () => {
  const mesh = snapshotOf(
    objectsOf(
      service({ name: "web", ports: { http: 80, "http-admin": 8080 }, clusterIP: "10.96.0.1" }) +
        istio("VirtualService", "nobody", {
          hosts: ["api.example.com"],
          http: [{ route: [{ destination: { host: "web", port: { number: 80 } } }] }],
        }),
    ),
  );
  const caller = { name: "a", namespace: "shop", ipAddress: "10.1.0.1", labels: {} };
  const tables = createTranslator(mesh).translate(caller).get(TYPE_URL.route)?.byName ?? new Map();
  const naming = [...tables.values()].filter(({ bytes }) => Buffer.from(bytes).includes("api.example.com"));
  assert.deepEqual([...tables.keys()], ["80", "8080"]);
  assert.deepEqual(
    naming.map(({ name }) => name),
    ["80"],
  );
});
