import assert from "node:assert/strict";
import { test } from "node:test";
import { parseObject } from "./parse-object.ts";

const rate = { amount: 1, unit: "DAY" };
const request = (more: object = {}) => ({ requests: [{ name: "a", scope: "PROXY", rate, ...more }] });
const connection = (more: object = {}) => ({ connections: [{ name: "a", scope: "PROXY", rate, ...more }] });

function findingsOf(spec: object) {
  const { object, findings } = parseObject({
    apiVersion: "trysail.dev/v1alpha1",
    kind: "RateLimit",
    metadata: { name: "api", namespace: "shop" },
    spec,
  });
  return { isUsed: object !== undefined, findings };
}

const right: readonly [what: string, spec: object][] = [
  ["a limit of the proxy", request()],
  ["a limit of a Service", { ...request(), targetRefs: [{ group: "", kind: "Service", name: "api" }] }],
  ["of connections", connection({ scope: "GLOBAL", by: [{ attribute: "REMOTE_ADDRESS" }, { constant: "a" }] })],
  ["a bucket that holds more", request({ rate: { amount: 5, unit: "SECOND", burst: 9 } })],
  ["a quota for a month", request({ scope: "GLOBAL", rate: { amount: 5, unit: "MONTH" } })],
  ["patterns of paths", request({ match: { paths: ["/a", "/a*", "*/b", "*"], methods: ["GET", "M-SEARCH"] } })],
  [
    "everything of the answer",
    { ...request({ scope: "GLOBAL" }), exceeded: { status: 429, body: "no", headers: { "x-a": "b%" } } },
  ],
];

for (const [what, spec] of right) {
  test(`right: ${what}`, () => assert.deepEqual(findingsOf(spec), { isUsed: true, findings: [] }));
}

const wrong: readonly [what: string, spec: object, field: string, words: RegExp][] = [
  ["nothing to limit", {}, "spec", /limits nothing/],
  [
    "more ports in all than a proxy is sent",
    {
      requests: Array.from({ length: 5 }, (_, i) => ({
        ...{ name: `a${i}`, scope: "PROXY", rate },
        ports: Array.from({ length: 64 }, (_, port) => 1000 * (i + 1) + port),
      })),
    },
    "spec",
    /names 320 ports in all, and at most 256/,
  ],
  ["an unknown field", { ...request(), selecter: {} }, "spec.selecter", /not a field of RateLimit.*not used/],
  ["a misspelt condition", request({ match: { path: ["/a"] } }), "spec.requests[0].match.path", /not a field/],
  [
    "a selector beside Services",
    { ...request(), selector: {}, targetRefs: [{ kind: "Service", name: "a" }] },
    "spec.targetRefs",
    /keep one of them/,
  ],
  [
    "one Service twice",
    {
      ...request(),
      targetRefs: [
        { kind: "Service", name: "a" },
        { kind: "Service", name: "a" },
      ],
    },
    "spec.targetRefs[1]",
    /names a again/,
  ],
  [
    "a target of another kind",
    { ...request(), targetRefs: [{ kind: "Gateway", name: "a" }] },
    "spec.targetRefs[0].kind",
    /Service/,
  ],
  [
    "a Service of another namespace",
    { ...request(), targetRefs: [{ kind: "Service", name: "a", namespace: "b" }] },
    "spec.targetRefs[0].namespace",
    /not a field/,
  ],
  [
    "a target without a name",
    { ...request(), targetRefs: [{ kind: "Service" }] },
    "spec.targetRefs[0].name",
    /missing|required/,
  ],
  ["no amount", request({ rate: { amount: 0, unit: "DAY" } }), "spec.requests[0].rate.amount", /from 1 to/],
  ["an amount below zero", request({ rate: { amount: -1, unit: "DAY" } }), "spec.requests[0].rate.amount", /from 1 to/],
  ["too much", request({ rate: { amount: 2 ** 40, unit: "DAY" } }), "spec.requests[0].rate.amount", /from 1 to/],
  ["a unit of its own", request({ rate: { amount: 1, unit: "WEEK" } }), "spec.requests[0].rate.unit", /"MONTH"/],
  ["no scope", { requests: [{ name: "a", rate }] }, "spec.requests[0].scope", /missing|required/],
  ["a month in a proxy", request({ rate: { amount: 1, unit: "MONTH" } }), "spec.requests[0].rate.unit", /scope GLOBAL/],
  [
    "a burst of a quota",
    request({ scope: "GLOBAL", rate: { ...rate, burst: 2 } }),
    "spec.requests[0].rate.burst",
    /cannot be with scope GLOBAL/,
  ],
  [
    "a burst that is less",
    request({ rate: { amount: 5, unit: "DAY", burst: 2 } }),
    "spec.requests[0].rate.burst",
    /less/,
  ],
  ["counts of a connection", request({ scope: "CONNECTION", by: [{ header: "a" }] }), "spec.requests[0].by", /already/],
  ["two ways at once", request({ by: [{ header: "a", claim: "b" }] }), "spec.requests[0].by[0]", /exactly one/],
  ["the same twice", request({ by: [{ header: "a" }, { header: "A" }] }), "spec.requests[0].by[1]", /before/],
  ["a header that is none", request({ by: [{ header: 'a"b' }] }), "spec.requests[0].by[0].header", /header's name/],
  [
    "a constant with a command",
    request({ by: [{ constant: "%REQ(a)%" }] }),
    "spec.requests[0].by[0].constant",
    /letters/,
  ],
  [
    "a path with a query",
    request({ match: { paths: ["/a?b"] } }),
    "spec.requests[0].match.paths[0]",
    /without a query/,
  ],
  ["a star in the middle", request({ match: { paths: ["/a*b"] } }), "spec.requests[0].match.paths[0]", /first or last/],
  ["a method that is none", request({ match: { methods: ["GET|PUT"] } }), "spec.requests[0].match.methods[0]", /GET/],
  [
    "a regular expression that is none",
    request({ match: { headers: { a: { regex: "(" } } } }),
    "spec.requests[0].match.headers.a",
    /RE2/,
  ],
  [
    "more regular expressions than can be checked",
    request({
      match: {
        headers: Object.fromEntries(
          Array.from({ length: 100 }, (_, index) => [`x-${index}`, { regex: "(a{1,90}){1,9}" }]),
        ),
      },
    }),
    "spec.requests",
    /more regular expressions/,
  ],
  [
    "who connects, by identity",
    connection({ scope: "GLOBAL", by: [{ attribute: "IDENTITY" }] }),
    "spec.connections[0].by[0]",
    /begins/,
  ],
  [
    "connections counted apart in a proxy",
    connection({ by: [{ constant: "a" }] }),
    "spec.connections[0].by",
    /use GLOBAL/,
  ],
  ["a shadow of connections in a proxy", connection({ shadow: true }), "spec.connections[0].shadow", /PROXY/],
  ["a name twice", { ...request(), ...connection() }, "spec.connections[0].name", /spec\.requests\[0\]\.name/],
  ["a status of success", { ...request(), exceeded: { status: 200 } }, "spec.exceeded.status", /400 to 599/],
  [
    "a status that nobody knows",
    { ...request(), exceeded: { status: 499 } },
    "spec.exceeded.status",
    /no status of HTTP/,
  ],
  [
    "a header of the connection",
    { ...request(), exceeded: { headers: { Connection: "a" } } },
    "spec.exceeded.headers.Connection",
    /not for this/,
  ],
  [
    "a header in two lines",
    { ...request(), exceeded: { headers: { a: "b\r\nc: d" } } },
    "spec.exceeded.headers.a",
    /characters/,
  ],
  ["a service without end", { ...request(), service: { timeout: "0.5h1" } }, "spec.service.timeout", /duration/],
  ["any service", { ...request(), service: { host: "*" } }, "spec.service.host", /no service/],
  ["services by a wildcard", { ...request(), service: { host: "*.test" } }, "spec.service.host", /no service/],
  ["a port that is none", { ...request(), service: { port: 70000 } }, "spec.service.port", /65535/],
];

for (const [what, spec, field, words] of wrong) {
  test(`wrong: ${what}`, () => {
    const { isUsed, findings } = findingsOf(spec);
    const found = findings.find((finding) => finding.field === field);
    assert.ok(found !== undefined, JSON.stringify(findings));
    assert.match(found.message, words);
    assert.equal(found.severity, "error");
    assert.equal(isUsed, false);
  });
}

test("a body that nobody would send is told, and the rest is used", () => {
  const { isUsed, findings } = findingsOf({ ...request(), exceeded: { body: "no" } });
  assert.deepEqual(
    [isUsed, findings.map(({ severity, field }) => [severity, field])],
    [true, [["warning", "spec.exceeded.body"]]],
  );
});
