import assert from "node:assert/strict";
import { test } from "node:test";
import { pod, service } from "../../test/support/manifests.ts";
import { objectsOf } from "../../test/support/mesh.ts";
import { rateLimit } from "../../test/support/rate-limits.ts";
import { analyzeReferences } from "./analyze.ts";

const limit = (more: object = {}) => ({ name: "a", scope: "PROXY", rate: { amount: 1, unit: "DAY" }, ...more });
const requests = (...limits: object[]) => ({ requests: limits });
const global = { scope: "GLOBAL" };
const counting = (ports: Readonly<Record<string, number>>) =>
  service({ name: "trysail-ratelimit", namespace: "trysail-ratelimit", ports });
const app = pod({ name: "web-0", ip: "10.0.0.1", labels: { app: "web", tier: "front" } });
const at = (...names: string[]) => ({ targetRefs: names.map((name) => ({ kind: "Service", name })) });
const web = (labels: object) => ({ selector: { matchLabels: labels } });

const cases: readonly [what: string, yaml: string, expected: readonly (readonly [field: string, words: RegExp])[]][] = [
  ["a limit of the proxy's own", app + rateLimit("a", requests(limit())), []],
  ["a global one with the service", app + counting({ grpc: 8081 }) + rateLimit("a", requests(limit(global))), []],
  [
    "no service that counts",
    app + rateLimit("a", requests(limit(global))),
    [["spec.service.host", /there is no such Service.*failureMode says \(ALLOW\)/]],
  ],
  [
    "a port that the service lacks",
    app + counting({ grpc: 9000 }) + rateLimit("a", { ...requests(limit(global)), service: { failureMode: "DENY" } }),
    [["spec.service.port", /is 8081, which trysail-ratelimit.*\(DENY\)/]],
  ],
  [
    "a port that is not gRPC's",
    app + counting({ http: 8081 }) + rateLimit("a", requests(limit(global))),
    [["spec.service.port", /does not declare as grpc/]],
  ],
  [
    "a selector that nothing fits",
    app + rateLimit("a", { ...web({ app: "none" }), ...requests(limit()) }),
    [["spec.selector.matchLabels", /selects app=none/]],
  ],
  [
    "a Service that is not there",
    app +
      service({ name: "web", ports: { http: 80 } }) +
      rateLimit("a", { ...at("web", "lost"), ...requests(limit()) }),
    [["spec.targetRefs[1].name", /names Service lost, but there is none in namespace shop/]],
  ],
  [
    "the same said by name of a Service and by labels of its workloads",
    app +
      service({ name: "web", ports: { http: 80 } }) +
      rateLimit("a", { ...at("web"), ...requests(limit({ name: "x" })) }) +
      rateLimit("b", { ...web({ tier: "front" }), ...requests(limit({ name: "y" })) }),
    [
      ["spec.requests[0]", /the same as y of RateLimit shop\/b/],
      ["spec.requests[0]", /the same as x of RateLimit shop\/a/],
    ],
  ],
  [
    "the same said by names of Services of two namespaces, one of them the root",
    app +
      service({ name: "web", ports: { http: 80 } }) +
      service({ name: "web", namespace: "trysail-system", ports: { http: 80 } }) +
      rateLimit("a", { ...at("web"), ...requests(limit({ name: "x" })) }) +
      rateLimit("b", { ...at("web"), ...requests(limit({ name: "y" })) }, "trysail-system"),
    [],
  ],
  [
    "a claim, as no token is verified yet",
    app + rateLimit("a", requests(limit({ by: [{ constant: "x" }, { claim: "sub" }] }))),
    [["spec.requests[0].by[1].claim", /verifies no tokens/]],
  ],
  [
    "the same said by two objects of one workload",
    app +
      rateLimit("a", { ...web({ app: "web" }), ...requests(limit({ name: "x" })) }) +
      rateLimit("b", { ...web({ tier: "front" }), ...requests(limit({ name: "y" })) }),
    [
      ["spec.requests[0]", /the same as y of RateLimit shop\/b, which is younger/],
      ["spec.requests[0]", /the same as x of RateLimit shop\/a, which is older/],
    ],
  ],
  [
    "the same said by two objects that no workload has in common",
    app +
      pod({ name: "db-0", ip: "10.0.0.2", labels: { app: "db" } }) +
      rateLimit("a", { ...web({ app: "web" }), ...requests(limit()), showLimits: true }) +
      rateLimit("b", { ...web({ app: "db" }), ...requests(limit()), showLimits: true }),
    [],
  ],
  [
    "headers of two objects, one of them the mesh's",
    app +
      rateLimit("a", { ...requests(limit()), showLimits: true }) +
      rateLimit("b", { ...requests(limit({ by: [{ header: "x" }] })), showLimits: true }, "trysail-system"),
    [
      ["spec.showLimits", /RateLimit trysail-system\/b/],
      ["spec.showLimits", /RateLimit shop\/a/],
    ],
  ],
];

for (const [what, yaml, expected] of cases) {
  test(`${what}: ${expected.length === 0 ? "nothing to tell" : "told"}`, () => {
    const findings = analyzeReferences(objectsOf(yaml));
    assert.deepEqual(
      findings.map(({ field }) => field),
      expected.map(([field]) => field),
      findings.map(({ message }) => message).join("\n"),
    );
    for (const [index, [, words]] of expected.entries()) assert.match(findings[index]?.message ?? "", words);
  });
}
