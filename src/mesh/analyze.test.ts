import assert from "node:assert/strict";
import { test } from "node:test";
import { withinCpuMs } from "../../test/support/cpu-time.ts";
import { analyzeReferences } from "./analyze.ts";
import type { KnownObject } from "./kinds.ts";
import { parseObject } from "./parse-object.ts";

function object(kind: string, name: string, body: object, labels: Record<string, string> = {}): KnownObject {
  const apiVersion =
    kind === "Service" || kind === "Pod"
      ? "v1"
      : kind === "Deployment"
        ? "apps/v1"
        : /Policy|Auth/.test(kind)
          ? "security.istio.io/v1"
          : "networking.istio.io/v1";
  const [namespace = "", bare = ""] = name.includes("/") ? name.split("/") : ["shop", name];
  const { object: parsed, findings } = parseObject({
    apiVersion,
    kind,
    metadata: { name: bare, namespace, labels },
    ...body,
  });
  assert.ok(parsed !== undefined, JSON.stringify(findings));
  return parsed;
}

const service = (name: string, spec: object = {}) =>
  object("Service", name, { spec: { ports: [{ name: "http", port: 80 }], selector: { app: "cart" }, ...spec } });
const pod = (name: string, labels: Record<string, string>) => object("Pod", name, { spec: { containers: [] } }, labels);
const rule = (host: string, subsets: object[] = []) => object("DestinationRule", "rule", { spec: { host, subsets } });
const routes = (...route: object[]) => object("VirtualService", "vs", { spec: { hosts: ["cart"], http: [{ route }] } });
const to = (host: string, rest: object = {}) => ({ destination: { host, ...rest } });
const strictCart = [
  service("cart"),
  pod("cart-1", { app: "cart" }),
  object("DestinationRule", "plain", { spec: { host: "cart", trafficPolicy: { tls: { mode: "DISABLE" } } } }),
];

const cases: [what: string, objects: KnownObject[], expected: [field: string, message: RegExp] | undefined][] = [
  ["a short host of the same namespace is found", [service("cart"), routes(to("cart"))], undefined],
  ["a full host is found", [service("other/cart"), routes(to("cart.other.svc.cluster.local"))], undefined],
  [
    "a short host of another namespace is not",
    [service("other/cart"), routes(to("cart"))],
    ["spec.http[0].route[0].destination.host", /cart \(cart.shop.svc.cluster.local\), but there is no such Service/],
  ],
  [
    "a host half written out is taken as full, and the right one is told",
    [service("other/cart"), routes(to("cart.other"))],
    ["spec.http[0].route[0].destination.host", /write cart.other.svc.cluster.local/],
  ],
  [
    "a port that the service lacks",
    [service("cart"), routes(to("cart", { port: { number: 81 } }))],
    ["spec.http[0].route[0].destination.port.number", /is 81, but Service shop\/cart has only 80/],
  ],
  [
    "a port that says no protocol",
    [
      service("cart", {
        ports: [{ port: 80 }, { name: "tcp", port: 81 }, { name: "web", port: 82, appProtocol: "http" }],
      }),
    ],
    ["spec.ports[0]", /declares no protocol/],
  ],
  [
    "TCP of a headless service",
    [
      service("cart", {
        clusterIP: "None",
        ports: [
          { name: "http", port: 80 },
          { name: "redis", port: 81 },
        ],
      }),
    ],
    undefined,
  ],
  ["a port that it has", [service("cart"), routes(to("cart", { port: { number: 80 } }))], undefined],
  [
    "a subset without any rule",
    [service("cart"), routes(to("cart", { subset: "v1" }))],
    ["spec.http[0].route[0].destination.subset", /no DestinationRule for cart/],
  ],
  [
    "a subset that the rule lacks",
    [service("cart"), rule("cart", [{ name: "v1" }]), routes(to("cart", { subset: "v2" }))],
    ["spec.http[0].route[0].destination.subset", /subset v2/],
  ],
  [
    "a subset that the rule has",
    [service("cart"), rule("cart", [{ name: "v1" }]), routes(to("cart", { subset: "v1" }))],
    undefined,
  ],
  [
    "a subset of a rule for many hosts",
    [service("cart"), rule("*.shop.svc.cluster.local", [{ name: "v1" }]), routes(to("cart", { subset: "v1" }))],
    undefined,
  ],
  ["a rule for no service", [rule("cart")], ["spec.host", /no such Service/]],
  [
    "a rule for many hosts, and none there",
    [service("cart"), rule("*.elsewhere.svc.cluster.local")],
    ["spec.host", /no Service matches/],
  ],
  [
    "a subset that no workload is in",
    [
      service("cart"),
      pod("p", { app: "cart", version: "v1" }),
      rule("cart", [{ name: "v2", labels: { version: "v2" } }]),
    ],
    ["spec.subsets[0].labels", /version=v2/],
  ],
  [
    "a subset that a workload is in",
    [
      service("cart"),
      pod("p", { app: "cart", version: "v2" }),
      rule("cart", [{ name: "v2", labels: { version: "v2" } }]),
    ],
    undefined,
  ],
  [
    "a subset of another cluster",
    [
      service("cart"),
      pod("p", { app: "cart" }),
      rule("cart", [{ name: "east", labels: { app: "cart", "topology.istio.io/cluster": "east" } }]),
    ],
    undefined,
  ],
  [
    "a policy for no workload",
    [
      pod("other/p", { app: "cart" }),
      object("AuthorizationPolicy", "p", { spec: { selector: { matchLabels: { app: "cart" } } } }),
    ],
    ["spec.selector.matchLabels", /app=cart, but no workload in its namespace/],
  ],
  [
    "a policy for a pod",
    [
      pod("p", { app: "cart" }),
      object("AuthorizationPolicy", "p", { spec: { selector: { matchLabels: { app: "cart" } } } }),
    ],
    undefined,
  ],
  [
    "mTLS for the pods of a Deployment",
    [
      object("Deployment", "d", {
        spec: { template: { metadata: { labels: { app: "cart" } }, spec: { containers: [] } } },
      }),
      object("PeerAuthentication", "p", { spec: { selector: { matchLabels: { app: "cart" } } } }),
    ],
    undefined,
  ],
  [
    "a policy of the root namespace for any workload",
    [
      pod("p", { app: "cart" }),
      object("AuthorizationPolicy", "trysail-system/p", { spec: { selector: { matchLabels: { app: "cart" } } } }),
    ],
    undefined,
  ],
  [
    "a policy of the root namespace for no workload",
    [object("PeerAuthentication", "trysail-system/p", { spec: { selector: { matchLabels: { app: "cart" } } } })],
    ["spec.selector.matchLabels", /no workload in the mesh/],
  ],
  [
    "plaintext to workloads that take mutual TLS only",
    [...strictCart, object("PeerAuthentication", "shop/default", { spec: { mtls: { mode: "STRICT" } } })],
    ["spec.trafficPolicy.tls.mode", /is DISABLE, but a PeerAuthentication .*app=cart.* refuse every request/],
  ],
  [
    "plaintext to workloads that take both",
    [...strictCart, object("PeerAuthentication", "shop/default", { spec: { mtls: { mode: "PERMISSIVE" } } })],
    undefined,
  ],
  ["a service without ports", [service("cart", { ports: [] })], ["spec.ports", /is empty/]],
  ["a headless service without ports", [service("cart", { ports: [], clusterIP: "None" })], undefined],
  [
    "an alias without ports",
    [service("cart", { ports: [], type: "ExternalName", externalName: "a.example.com" })],
    undefined,
  ],
];

for (const [what, objects, expected] of cases) {
  test(`${expected === undefined ? "says nothing about" : "warns of"} ${what}`, () => {
    const findings = analyzeReferences(objects);
    assert.deepEqual(
      findings.map(({ field, severity }) => [field, severity]),
      expected === undefined ? [] : [[expected[0], "warning"]],
    );
    if (expected !== undefined) assert.match(findings[0]?.message ?? "", expected[1]);
  });
}

test("a mesh of 1,000 services, routes, rules and policies is analysed in no more than a moment", () => {
  const objects = Array.from({ length: 1000 }, (_, at) => [
    object("Service", `ns-${at % 20}/svc-${at}`, {
      spec: { selector: { app: `svc-${at}` }, ports: [{ name: "http", port: 80 }] },
    }),
    object("Pod", `ns-${at % 20}/pod-${at}`, { spec: { containers: [] } }, { app: `svc-${at}`, version: "v1" }),
    object("DestinationRule", `ns-${at % 20}/svc-${at}`, {
      spec: { host: `svc-${at}`, subsets: [{ name: "v1", labels: { version: "v1" } }] },
    }),
    object("VirtualService", `ns-${at % 20}/svc-${at}`, {
      spec: { hosts: [`svc-${at}`], http: [{ route: [to(`svc-${at}`, { subset: "v1" })] }] },
    }),
    object("AuthorizationPolicy", `ns-${at % 20}/svc-${at}`, {
      spec: { selector: { matchLabels: { app: `svc-${at}` } } },
    }),
  ]).flat();
  assert.deepEqual(
    withinCpuMs(5000, () => analyzeReferences(objects)),
    [],
  );
});
