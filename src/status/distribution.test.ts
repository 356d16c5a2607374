import assert from "node:assert/strict";
import { test } from "node:test";
import { istio, pod, service } from "../../test/support/manifests.ts";
import { meshOf, objectsOf, resourcesFor } from "../../test/support/mesh.ts";
import type { ProxyProgress } from "../xds/proxy-progress.ts";
import type { Refusal } from "../xds/refusals.ts";
import { type ProxyResources, TYPE_URL, type TypeUrl } from "../xds/resource-set.ts";
import { arrivedProxies, buildDistributions, type Distribution, mergeDistributions } from "./distribution.ts";
import { buildReport, parseReport } from "./distribution-report.ts";

const CHANGED_AT = 1000;
const config = { rootNamespaces: ["istio-system"] };

function proxy(name: string, own: Partial<ProxyProgress> & { labels?: Record<string, string> } = {}): ProxyProgress {
  const [pod = "", namespace = ""] = name.split(".");
  const { labels = {}, ...progress } = own;
  return {
    proxy: {
      ...{ id: `sidecar~10.0.0.1~${name}~`, type: "sidecar", ipAddress: "10.0.0.1", metadata: {} },
      ...{ name: pod, namespace, labels },
    },
    connectedSinceMs: 0,
    behindSinceMs: null,
    refusals: [],
    ...progress,
  };
}

function spread(yaml: string, proxies: readonly ProxyProgress[]): Record<string, readonly number[]> {
  const held = objectsOf(yaml).map((object) => ({ object, sinceMs: CHANGED_AT }));
  return Object.fromEntries(
    [...buildDistributions({ held, proxies, config })].map(([key, { proxies, reached, refused }]) => [
      key.replace(/^\w+ /, ""),
      [proxies, reached, refused],
    ]),
  );
}

const route = { http: [{ route: [{ destination: { host: "web.test" } }] }] };

test("a proxy has an object when it has all that changed until then", () => {
  const proxies = [
    proxy("all.shop"),
    proxy("later.shop", { behindSinceMs: CHANGED_AT + 1 }),
    proxy("then.shop", { behindSinceMs: CHANGED_AT }),
    proxy("before.shop", { behindSinceMs: 1 }),
  ];
  assert.deepEqual(spread(istio("VirtualService", "web", { hosts: ["web.test"], ...route }), proxies), {
    "shop/web": [4, 2, 0],
  });
});

test("a proxy that has just come does not count until it has all, or took too long", () => {
  const proxies = [proxy("new.shop", { behindSinceMs: 0, connectedSinceMs: 5000 })];
  assert.equal(arrivedProxies(proxies, 14_999).length, 0);
  assert.equal(arrivedProxies(proxies, 15_000).length, 1);
});

test("an object concerns the proxies that see it, or that it selects", () => {
  const rule = { host: "web.test", trafficPolicy: { tls: { mode: "DISABLE" } } };
  const yaml = [
    istio("VirtualService", "everywhere", { hosts: ["a.test"], ...route }),
    istio("VirtualService", "own", { hosts: ["b.test"], exportTo: ["."], ...route }),
    istio("VirtualService", "named", { hosts: ["c.test"], exportTo: ["data"], ...route }),
    istio("VirtualService", "nowhere", { hosts: ["d.test"], exportTo: ["~"], ...route }),
    istio("DestinationRule", "for-app", { ...rule, workloadSelector: { matchLabels: { app: "web" } } }),
    istio("AuthorizationPolicy", "in-shop", {}),
    istio("AuthorizationPolicy", "of-app", { selector: { matchLabels: { app: "web" } } }),
    istio("PeerAuthentication", "mesh-wide", { mtls: { mode: "STRICT" } }, "istio-system"),
    istio("Sidecar", "for-app", { workloadSelector: { labels: { app: "web" } }, egress: [{ hosts: ["*/*"] }] }, "data"),
  ].join("");
  const proxies = [proxy("web.shop", { labels: { app: "web" } }), proxy("db.shop"), proxy("db.data")];
  const totals = Object.fromEntries(Object.entries(spread(yaml, proxies)).map(([key, [total]]) => [key, total]));
  assert.deepEqual(totals, {
    "shop/everywhere": 3,
    "shop/own": 2,
    "shop/named": 1,
    "shop/nowhere": 0,
    "shop/for-app": 1,
    "shop/in-shop": 2,
    "shop/of-app": 1,
    "istio-system/mesh-wide": 3,
    "data/for-app": 0,
  });
});

const web = pod({ name: "web", ip: "10.1.0.1", labels: { app: "web" } });
const entry = (name: string) =>
  istio("ServiceEntry", name, {
    hosts: [`${name}.test`],
    ports: [{ number: 80, name: "http", protocol: "HTTP" }],
    resolution: "STATIC",
    endpoints: [{ address: "10.2.0.1" }],
  });
const resource = (resources: ProxyResources, typeUrl: TypeUrl, name: string) => {
  const found = resources.get(typeUrl)?.byName.get(name);
  assert.ok(found, `${name} among ${[...(resources.get(typeUrl)?.byName.keys() ?? [])].join(", ")}`);
  return found;
};
const refusing = (refusal: Omit<Refusal, "message" | "isNamed">) => [
  proxy("web.shop", { labels: { app: "web" }, refusals: [{ ...refusal, isNamed: true, message: "no good" }] }),
];

test("a refused cluster is its DestinationRule's", () => {
  const yaml =
    web + entry("a") + entry("b") + ["a", "b"].map((n) => istio("DestinationRule", n, { host: `${n}.test` })).join("");
  const refused = resource(resourcesFor(meshOf(yaml), "web.shop"), TYPE_URL.cluster, "outbound|80||a.test");
  const { "shop/a": a, "shop/b": b } = Object.fromEntries(
    Object.entries(spread(yaml, refusing({ typeUrl: TYPE_URL.cluster, refused, kept: null }))),
  );
  assert.deepEqual(
    [a, b],
    [
      [1, 0, 1],
      [1, 1, 0],
    ],
  );
});

test("of several VirtualServices in a refused route table those are to blame whose part changed", () => {
  const yaml = (timeout: string) =>
    web +
    entry("a") +
    ["one", "two"]
      .map((name) =>
        istio("VirtualService", name, {
          hosts: [`${name}.test`],
          http: [{ timeout: name === "two" ? timeout : "1s", route: [{ destination: { host: "a.test" } }] }],
        }),
      )
      .join("");
  const [kept, refused] = ["1s", "2s"].map((timeout) =>
    resource(resourcesFor(meshOf(yaml(timeout)), "web.shop"), TYPE_URL.route, "80"),
  );
  assert.ok(kept && refused);
  const changed = spread(yaml("2s"), refusing({ typeUrl: TYPE_URL.route, refused, kept }));
  assert.deepEqual(
    [changed["shop/one"], changed["shop/two"]],
    [
      [1, 1, 0],
      [1, 0, 1],
    ],
  );
  const unknown = spread(yaml("2s"), refusing({ typeUrl: TYPE_URL.route, refused, kept: null }));
  assert.deepEqual(
    [unknown["shop/one"], unknown["shop/two"]],
    [
      [1, 0, 1],
      [1, 0, 1],
    ],
  );
});

test("a refused inbound listener is the policy's that changed in it", () => {
  const yaml = (method: string) =>
    web +
    service({ name: "web", ports: { http: 80 } }) +
    istio("AuthorizationPolicy", "reads", { rules: [{ to: [{ operation: { methods: [method] } }] }] }) +
    istio("AuthorizationPolicy", "same", { rules: [{ to: [{ operation: { methods: ["HEAD"] } }] }] });
  const [kept, refused] = ["GET", "POST"].map((method) =>
    resource(resourcesFor(meshOf(yaml(method)), "web.shop"), TYPE_URL.listener, "virtualInbound"),
  );
  assert.ok(kept && refused);
  const changed = spread(yaml("POST"), refusing({ typeUrl: TYPE_URL.listener, refused, kept }));
  assert.deepEqual(
    [changed["shop/reads"], changed["shop/same"]],
    [
      [1, 0, 1],
      [1, 1, 0],
    ],
  );
});

test("a refused secret is the DestinationRule's that names it for the workload", () => {
  const rule = (name: string, app: string, namespace = "shop") =>
    istio(
      "DestinationRule",
      name,
      {
        host: "bank.test",
        workloadSelector: { matchLabels: { app } },
        trafficPolicy: { tls: { mode: "MUTUAL", credentialName: "bank" } },
      },
      namespace,
    );
  const refused = { name: "kubernetes://bank-cacert", version: "1", bytes: new Uint8Array() };
  const blamed = spread(
    rule("mine", "web") + rule("other", "db") + rule("mine", "web", "data"),
    refusing({ typeUrl: TYPE_URL.secret, refused, kept: null }),
  );
  assert.deepEqual(blamed, { "shop/mine": [1, 0, 1], "shop/other": [0, 0, 0], "data/mine": [0, 0, 0] });
});

const distribution = (own: Partial<Distribution>): Distribution => ({
  ...{ generation: 2, proxies: 3, reached: 3, refused: 0, refusal: null },
  ...own,
});

test("what replicas tell is added up, and proxies that have another version have not been reached", () => {
  const refusal = { proxy: "a.shop", message: "no" };
  const own = new Map([["x", distribution({ refused: 1, refusal: { proxy: "b.shop", message: "neither" } })]]);
  const other = new Map([["x", distribution({ proxies: 2, reached: 1, refused: 1, refusal })]]);
  const stale = new Map([["x", distribution({ generation: 1, proxies: 4, reached: 4 })]]);
  assert.deepEqual(mergeDistributions([own, other, stale, new Map()]).get("x"), {
    ...{ generation: 2, proxies: 9, reached: 4, refused: 2, refusal },
  });
});

test("a report survives the way, and what is no report is none", () => {
  const told = new Map([
    ["VirtualService shop/web", distribution({ refused: 1, refusal: { proxy: "a.shop", message: "no" } })],
    ["Sidecar shop/old", distribution({ generation: null })],
  ]);
  assert.deepEqual(parseReport(buildReport(told)), told);
  assert.deepEqual(parseReport(buildReport(new Map([["x", distribution({ proxies: 0, reached: 0 })]]))), new Map());
  for (const text of ["", "{}", '[["x"]]', '[["x", 1, -1, 0, 0, null]]'])
    assert.equal(parseReport(text), undefined, text);
});

test("a report fits into a ConfigMap however many objects there are", () => {
  const many = new Map(
    Array.from({ length: 20_000 }, (_, i) => [`VirtualService shop/${"x".repeat(50)}${i}`, distribution({})]),
  );
  const text = buildReport(many);
  assert.ok(text.length <= 900_000);
  assert.ok((parseReport(text)?.size ?? 0) > 8000);
});
