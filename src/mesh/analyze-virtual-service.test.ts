import assert from "node:assert/strict";
import { test } from "node:test";
import { withinCpuMs } from "../../test/support/cpu-time.ts";
import { istio, service } from "../../test/support/manifests.ts";
import { meshOf, objectsOf } from "../../test/support/mesh.ts";
import { analyzeReferences } from "./analyze.ts";
import { defaultMeshConfig } from "./mesh-config.ts";

/** `NAME FIELD: what the message says`, of VirtualServices and DestinationRules. */
function findingsOf(...manifests: string[]): string[] {
  const objects = objectsOf(service({ name: "cart", ports: { http: 80 } }) + manifests.join(""));
  return analyzeReferences(objects)
    .filter(({ object }) => object?.kind !== "Service")
    .map(({ severity, object, field, message }) => {
      assert.equal(severity, "warning");
      return `${object?.name} ${field}: ${message}`;
    });
}

function assertFindings(found: string[], expected: RegExp[]): void {
  assert.equal(found.length, expected.length, found.join("\n"));
  for (const [index, pattern] of expected.entries()) assert.match(found[index] ?? "", pattern);
}

const to = [{ destination: { host: "cart" } }];
const virtualService = (name: string, spec: object, namespace?: string) =>
  istio("VirtualService", name, { http: [{ route: to }], ...spec }, namespace);
const answer = { directResponse: { status: 200 } };
const aged = (manifest: string, creationTimestamp: string) =>
  manifest.replace('"metadata":{', `"metadata":{"creationTimestamp":"${creationTimestamp}",`);

const nowhere = { host: "nobody.test" };
const destinations: readonly [what: string, spec: object, field: string][] = [
  ["an HTTP route", { http: [{ route: [{ destination: nowhere }] }] }, "spec.http[0].route[0].destination.host"],
  ["a mirror", { http: [{ route: to, mirror: nowhere }] }, "spec.http[0].mirror.host"],
  [
    "one of several mirrors",
    { http: [{ route: to, mirrors: [{ destination: nowhere }] }] },
    "spec.http[0].mirrors[0].destination.host",
  ],
  ["a TCP route", { tcp: [{ route: [{ destination: nowhere }] }] }, "spec.tcp[0].route[0].destination.host"],
  [
    "a TLS route",
    { tls: [{ match: [{ sniHosts: ["a.test"] }], route: [{ destination: nowhere }] }] },
    "spec.tls[0].route[0].destination.host",
  ],
];
for (const [what, spec, field] of destinations) {
  test(`${what} to a host that nobody has is told`, () => {
    const [found, ...more] = findingsOf(virtualService("v", { hosts: ["a.test"], ...spec }));
    assert.deepEqual([found?.split(": ")[0], more], [`v ${field}`, []]);
  });
}

test("a host that two VirtualServices have is told of both, and who goes first", () => {
  const older = aged(virtualService("z-older", { hosts: ["cart"] }), "2026-01-01T00:00:00Z");
  const younger = aged(
    virtualService("a-younger", { hosts: ["x.test", "cart.shop.svc.cluster.local"] }),
    "2026-01-02T00:00:00Z",
  );
  assertFindings(findingsOf(younger, older), [
    /^a-younger spec\.hosts\[1\]: .*VirtualService shop\/z-older, which is older and goes first: this one has no effect/,
    /^z-older spec\.hosts\[0\]: .*VirtualService shop\/a-younger, which is younger: the other has no effect/,
  ]);
});

test("a host that no namespace sees twice is no conflict, nor one of the mesh that a gateway has too", () => {
  assertFindings(
    findingsOf(
      virtualService("a", { hosts: ["x.test"], exportTo: ["."] }),
      virtualService("b", { hosts: ["x.test"], exportTo: ["edge"] }),
      istio("Gateway", "edge", { servers: [{ port: { number: 80, protocol: "HTTP" }, hosts: ["*"] }] }),
      virtualService("c", { hosts: ["x.test"], gateways: ["edge"] }),
      virtualService("d", { hosts: ["x.test"], exportTo: ["~"] }),
    ),
    [],
  );
  for (const alone of [["."], ["~"]]) {
    const two = ["shop", "edge"].map((namespace) =>
      virtualService("v", { hosts: ["x.test"], exportTo: alone, http: [answer] }, namespace),
    );
    assertFindings(findingsOf(...two), []);
  }
  const overlapping = findingsOf(
    virtualService("a", { hosts: ["x.test"], exportTo: [".", "edge"] }),
    virtualService("b", { hosts: ["x.test"], exportTo: ["edge"] }),
  );
  assertFindings(overlapping, [/^a spec\.hosts\[0\]/, /^b spec\.hosts\[0\]/]);
});

test("a wildcard within another is no conflict, the same one twice is", () => {
  const wild = (name: string, ...hosts: string[]) => virtualService(name, { hosts });
  assertFindings(findingsOf(wild("a", "*.example.com"), wild("b", "*.com"), wild("c", "x.example.com")), []);
  assertFindings(findingsOf(wild("a", "*.example.com", "*.org"), wild("b", "*.EXAMPLE.com")), [
    /^a spec\.hosts\[0\]: .*VirtualService shop\/b, which is younger/,
    /^b spec\.hosts\[0\]: .*VirtualService shop\/a, which is older and goes first/,
  ]);
});

test("of two that some namespace sees, the one that is exported more narrowly goes first, whatever their age", () => {
  const older = (exportTo: string[]) =>
    aged(virtualService("older", { hosts: ["x.test"], exportTo }), "2026-01-01T00:00:00Z");
  const younger = (exportTo: string[], namespace?: string) =>
    aged(virtualService("younger", { hosts: ["x.test"], exportTo, http: [answer] }, namespace), "2026-01-02T00:00:00Z");
  assertFindings(findingsOf(older(["*"]), younger(["."])), [
    /^older .*shop\/younger, which is exported more narrowly and goes first: this one has no effect/,
    /^younger .*shop\/older, which is exported more widely: the other has no effect/,
  ]);
  assertFindings(findingsOf(older([".", "edge"]), younger([".", "shop"], "edge")), [
    /^older .*edge\/younger: each goes first in its own namespace/,
    /^younger .*shop\/older: each goes first in its own namespace/,
  ]);
});

test("what an object does not say of its export is as the mesh says", () => {
  const two = [
    virtualService("a", { hosts: ["x.test"] }),
    virtualService("b", { hosts: ["x.test"], exportTo: [] }, "edge"),
  ];
  const conflicts = (defaultVirtualServiceExportTo: string[]) =>
    analyzeReferences(objectsOf(two.join("")), { ...defaultMeshConfig, defaultVirtualServiceExportTo }).filter(
      ({ code }) => code === "object-conflict",
    ).length;
  assert.deepEqual([conflicts(["*"]), conflicts(["."])], [2, 0]);
});

const at = (prefix: string) => [{ uri: { prefix } }];
const root = (delegate: object, match = at("/a")) =>
  istio("VirtualService", "root", { hosts: ["x.test"], http: [{ match, delegate }] });
const inner = (http: object[], more: object = {}, namespace = "shop") =>
  istio("VirtualService", "inner", { http, ...more }, namespace);

test("a delegate that cannot be used is told where it is named", () => {
  assertFindings(findingsOf(root({ name: "nobody" })), [/^root spec\.http\[0\]\.delegate: .*there is none/]);
  assertFindings(findingsOf(root({ name: "root" })), [/^root spec\.http\[0\]\.delegate: .*hosts of its own/]);
  assertFindings(
    findingsOf(
      root({ name: "inner", namespace: "edge" }),
      inner([{ route: [{ destination: { host: "cart.shop.svc.cluster.local" } }] }], { exportTo: ["."] }, "edge"),
    ),
    [/^root spec\.http\[0\]\.delegate: .*not exported to namespace shop/],
  );
});

test("two that delegate to each other have hosts, so neither is a delegate", () => {
  const other = istio("VirtualService", "other", { hosts: ["y.test"], http: [{ delegate: { name: "root" } }] });
  assertFindings(findingsOf(root({ name: "other" }), other), [/^root .*hosts of its own/, /^other .*hosts of its own/]);
});

test("conditions of a delegate that no request meets are told, and one that nobody delegates to", () => {
  const routes = [
    { match: at("/a/b"), route: to },
    { match: at("/c"), route: to },
  ];
  assertFindings(findingsOf(root({ name: "inner" }), inner(routes)), [
    /^root spec\.http\[0\]\.match: .*rules out a condition of spec\.http\[1\] of VirtualService shop\/inner/,
  ]);
  assertFindings(findingsOf(inner(routes)), [/^inner spec\.hosts: .*no other VirtualService delegates/]);
});

test("what two DestinationRules say of one host is told of both", () => {
  const rule = (name: string, spec: object) =>
    istio("DestinationRule", name, { host: "cart", trafficPolicy: { tls: { mode: "DISABLE" } }, ...spec });
  assertFindings(
    findingsOf(rule("a", { subsets: [{ name: "v1" }] }), rule("b", { subsets: [{ name: "v2" }, { name: "v1" }] })),
    [
      /^a spec\.trafficPolicy: .*DestinationRule shop\/b, which is younger: the other has no effect/,
      /^a spec\.subsets\[0\]\.name: /,
      /^b spec\.trafficPolicy: .*DestinationRule shop\/a, which is older and goes first: this one has no effect/,
      /^b spec\.subsets\[1\]\.name: /,
    ],
  );
  const selecting = rule("b", { workloadSelector: { matchLabels: { app: "caller" } } });
  assertFindings(findingsOf(rule("a", {}), selecting), [/^b spec\.workloadSelector\.matchLabels: .*no workload/]);
});

test("who goes first by the findings goes first in the mesh, where only some objects were stored yet", () => {
  const stored = aged(virtualService("z-stored", { hosts: ["cart"] }), "2026-01-01T00:00:00Z");
  const manifests = stored + virtualService("a-new", { hosts: ["cart"] });
  const mesh = meshOf(manifests);
  assert.deepEqual(
    mesh.virtualServices.map(({ metadata }) => metadata.name),
    ["z-stored", "a-new"],
  );
  assertFindings(findingsOf(manifests), [
    /^z-stored .*a-new, which is younger/,
    /^a-new .*z-stored, which is older and goes first/,
  ]);
});

test("of very many VirtualServices for one host each is told of some others, in no more than a moment", () => {
  const many = Array.from({ length: 1000 }, (_, index) => virtualService(`v${index}`, { hosts: ["cart"] }));
  const objects = objectsOf(service({ name: "cart", ports: { http: 80 } }) + many.join(""));
  const findings = withinCpuMs(3000, () => analyzeReferences(objects));
  const found = Map.groupBy(findings, ({ object }) => object?.name);
  assert.deepEqual(new Set([...found.values()].map(({ length }) => length)), new Set([3]));
  assert.equal(found.size, 1000);
});

test("a delegation that multiplies two objects' conditions beyond measure is left out, and told", () => {
  const paths = Array.from({ length: 300 }, (_, index) => ({ uri: { exact: `/${index}` } }));
  const callers = Array.from({ length: 300 }, (_, index) => ({ headers: { [`x-${index}`]: { exact: "a" } } }));
  const small = virtualService("small", { http: [{ match: paths.slice(0, 3), ...answer }] });
  const large = virtualService("large", { http: [{ match: paths, ...answer }] });
  const root = virtualService("root", {
    hosts: ["cart"],
    http: [
      { match: callers, delegate: { name: "small" } },
      { match: callers, delegate: { name: "large" } },
    ],
  });
  assertFindings(findingsOf(root, small, large), [/^root spec\.http\[1\]\.delegate: .*more than the 50000 routes/]);
  const routes = meshOf(root + small + large).virtualServices[0]?.spec.http ?? [];
  assert.deepEqual(
    routes.map(({ match, delegate }) => [delegate?.name, match?.length]),
    [["small", 900]],
  );
});
