import assert from "node:assert/strict";
import { test } from "node:test";
import { withinCpuMs } from "../../test/support/cpu-time.ts";
import { parseObject } from "./parse-object.ts";

/** What Istio refuses of VirtualServices is an error at the field; what has no effect is a warning. */

function findingsOf(spec: object): string[] {
  const metadata = { name: "it", namespace: "shop" };
  const { findings } = parseObject({ apiVersion: "networking.istio.io/v1", kind: "VirtualService", metadata, spec });
  return findings.map(({ severity, field }) => `${severity} ${field}`);
}

const route = [{ destination: { host: "cart" } }];
const one = { percentage: { value: 1 } };
const http = (fields: object) => ({ hosts: ["cart.shop.test"], http: [{ route, ...fields }] });
const action = (fields: object) => ({ hosts: ["cart.shop.test"], http: [fields] });
const error = (field: string) => [`error spec.http[0]${field}`];
const warning = (field: string) => [`warning spec.http[0]${field}`];

const cases: Readonly<Record<string, readonly [spec: object, findings: string[]]>> = {
  "no routes at all": [{ hosts: ["a"] }, ["error spec"]],
  "a host with a port": [{ hosts: ["a.b:80"], http: [{ route }] }, ["error spec.hosts[0]"]],
  "an empty host": [{ hosts: [""], http: [{ route }] }, ["error spec.hosts[0]"]],
  "a wildcard in the middle": [{ hosts: ["a.*.b"], http: [{ route }] }, ["error spec.hosts[0]"]],
  "a wildcard within a label": [{ hosts: ["a*.b"], http: [{ route }] }, ["error spec.hosts[0]"]],
  "a negative weight": [http({ route: [{ ...route[0], weight: -1 }] }), error(".route[0].weight")],
  "a weight of zero": [
    http({
      route: [
        { ...route[0], weight: 100 },
        { ...route[0], weight: 0 },
      ],
    }),
    warning(".route[1].weight"),
  ],
  "a number as text": [http({ timeout: 5 }), error(".timeout")],
  "a duration without a unit": [http({ timeout: "5" }), error(".timeout")],
  "a duration that overflows": [http({ timeout: `${"9".repeat(20)}h` }), error(".timeout")],
  "a negative duration": [http({ timeout: "-1s" }), error(".timeout")],
  "no action": [action({}), error("")],
  "two actions": [http({ redirect: { uri: "/" } }), error("")],
  "a direct response with a route": [http({ directResponse: { status: 200 } }), error("")],
  "a rewrite of a direct response": [action({ directResponse: { status: 200 }, rewrite: { uri: "/" } }), error("")],
  "a direct response that is no answer": [action({ directResponse: { status: 99 } }), error(".directResponse.status")],
  "a redirect to nowhere": [action({ redirect: {} }), error(".redirect")],
  "a redirect with two ports": [action({ redirect: { port: 1, derivePort: "FROM_REQUEST_PORT" } }), error(".redirect")],
  "a redirect to a path and to a part of one": [
    action({ redirect: { uri: "/", prefixRewrite: "/" } }),
    error(".redirect"),
  ],
  "a redirect of a prefix where none is matched": [
    action({ match: [{ uri: { exact: "/a" } }], redirect: { prefixRewrite: "/b" } }),
    error(".redirect.prefixRewrite"),
  ],
  "a redirect with a code of another kind": [
    action({ redirect: { uri: "/", redirectCode: 200 } }),
    error(".redirect.redirectCode"),
  ],
  "a rewrite of nothing": [http({ rewrite: {} }), error(".rewrite")],
  "two rewrites": [http({ rewrite: { uri: "/", uriRegexRewrite: { match: "a", rewrite: "b" } } }), error(".rewrite")],
  "a rewrite by a wrong expression": [
    http({ rewrite: { uriRegexRewrite: { match: "(", rewrite: "b" } } }),
    error(".rewrite.uriRegexRewrite.match"),
  ],
  "a rewrite by a group that is not there": [
    http({ rewrite: { uriRegexRewrite: { match: "(a)", rewrite: "\\2" } } }),
    error(".rewrite.uriRegexRewrite.rewrite"),
  ],
  "a rewrite with a lone backslash": [
    http({ rewrite: { uriRegexRewrite: { match: "a", rewrite: "b\\" } } }),
    error(".rewrite.uriRegexRewrite.rewrite"),
  ],
  "a fault of nothing": [http({ fault: {} }), error(".fault")],
  "a fault without a share": [http({ fault: { abort: { httpStatus: 500 } } }), warning(".fault.abort")],
  "a delay without a share": [http({ fault: { delay: { fixedDelay: "1s" } } }), warning(".fault.delay")],
  "a delay of nothing": [
    http({ fault: { delay: { fixedDelay: "0s", percent: 1 } } }),
    error(".fault.delay.fixedDelay"),
  ],
  "an abort without a status": [http({ fault: { abort: one } }), error(".fault.abort")],
  "an abort with two statuses": [
    http({ fault: { abort: { httpStatus: 500, grpcStatus: "INTERNAL", ...one } } }),
    error(".fault.abort"),
  ],
  "an abort with a status of no protocol": [
    http({ fault: { abort: { grpcStatus: "constructor", ...one } } }),
    error(".fault.abort.grpcStatus"),
  ],
  "a share above all": [
    http({ fault: { abort: { httpStatus: 500, percentage: { value: 101 } } } }),
    error(".fault.abort.percentage.value"),
  ],
  "two ways to mirror": [http({ mirror: { host: "a" }, mirrors: [] }), error("")],
  "a share of no mirror": [http({ mirrorPercentage: { value: 1 } }), warning(".mirrorPercentage")],
  "a method that browsers do not know": [
    http({ corsPolicy: { allowMethods: ["get"] } }),
    error(".corsPolicy.allowMethods[0]"),
  ],
  "a header that is none": [http({ corsPolicy: { allowHeaders: ["a b"] } }), error(".corsPolicy.allowHeaders[0]")],
  "a fraction of a second for browsers": [http({ corsPolicy: { maxAge: "1.5s" } }), error(".corsPolicy.maxAge")],
  "an origin that is no expression": [
    http({ corsPolicy: { allowOrigins: [{ regex: "[" }] } }),
    error(".corsPolicy.allowOrigins[0].regex"),
  ],
  "retries without attempts": [http({ retries: { perTryTimeout: "1s" } }), error(".retries")],
  "a condition that Envoy does not know": [
    http({ retries: { attempts: 1, retryOn: "5xx,sometimes" } }),
    error(".retries.retryOn"),
  ],
  "a status that is none": [http({ retries: { attempts: 1, retryOn: "777" } }), error(".retries.retryOn")],
  "no wait between retries": [http({ retries: { attempts: 1, backoff: "0s" } }), error(".retries.backoff")],
  "an expression that RE2 does not know": [
    http({ match: [{ uri: { regex: "(?=a)" } }] }),
    error(".match[0].uri.regex"),
  ],
  "a star for a header that must be missing": [http({ match: [{ withoutHeaders: { "x-a": { regex: "*" } } }] }), []],
  "a star for one that must be there": [
    http({ match: [{ headers: { "x-a": { regex: "*" } } }] }),
    error(".match[0].headers.x-a.regex"),
  ],
  "a label named regex": [http({ match: [{ sourceLabels: { regex: "" } }] }), []],
  "an expression that Envoy would refuse its routes for": [
    http({ match: [{ uri: { regex: "(\\pL\\pN\\pS\\pP){1,1000}" } }] }),
    error(".match[0].uri.regex"),
  ],
  "more expressions than can be checked": [
    http({ match: Array.from({ length: 100 }, (_, index) => ({ uri: { regex: `(a{1,100}){1,9}${index}` } })) }),
    ["error spec.http"],
  ],
  "more expressions in rewrites than can be checked": [
    {
      hosts: ["cart.shop.test"],
      http: Array.from({ length: 100 }, (_, index) => ({
        match: [{ port: index + 1 }],
        route,
        rewrite: { uriRegexRewrite: { match: `(a{1,100}){1,9}${index}`, rewrite: "/" } },
      })),
    },
    ["error spec.http"],
  ],
  "a fault in a redirect": [
    action({ redirect: { uri: "/" }, fault: { abort: { httpStatus: 503, percentage: { value: 1 } } } }),
    error(""),
  ],
  "a fault in a direct response": [
    action({ directResponse: { status: 200 }, fault: { delay: { fixedDelay: "1s", percentage: { value: 1 } } } }),
    error(""),
  ],
  "a destination of all hosts": [
    http({ route: [{ destination: { host: "*" } }], mirror: { host: "*" } }),
    ["error spec.http[0].route[0].destination.host", "error spec.http[0].mirror.host"],
  ],
  "a destination of a wildcard's hosts": [http({ route: [{ destination: { host: "*.shop.test" } }] }), []],
  "gateways by every way to name them": [
    { ...http({}), gateways: ["mesh", "edge", "./edge", "infra/edge", "edge.infra.svc"] },
    [],
  ],
  "gateways that are none": [
    { ...http({ match: [{ gateways: ["a/b/c"] }] }), gateways: ["", "a b"] },
    ["error spec.gateways[0]", "error spec.gateways[1]", "error spec.http[0].match[0].gateways[0]"],
  ],
  "namespaces to export to": [{ ...http({}), exportTo: [".", "pay"] }, []],
  "a path that may be any": [http({ match: [{ uri: {}, scheme: {}, method: {}, authority: {} }] }), []],
  "an answer of more than Envoy takes": [
    action({ directResponse: { status: 200, body: { string: "é".repeat(524_289) } } }),
    error(".directResponse.body"),
  ],
  "an answer of bytes of more than Envoy takes": [
    action({ directResponse: { status: 200, body: { bytes: Buffer.alloc(1_048_577).toString("base64") } } }),
    error(".directResponse.body"),
  ],
  "an answer of as much as Envoy takes": [
    action({ directResponse: { status: 200, body: { bytes: Buffer.alloc(1_048_576).toString("base64") } } }),
    [],
  ],
  "a namespace that is none": [{ ...http({}), exportTo: ["a_b"] }, ["error spec.exportTo[0]"]],
  "a namespace that is said twice": [{ ...http({}), exportTo: [".", "shop"] }, ["error spec.exportTo[1]"]],
  "everybody and some to export to": [{ ...http({}), exportTo: ["*", "."] }, ["error spec.exportTo[0]"]],
  "a header named regex": [http({ headers: { request: { set: { regex: "(" } } } }), []],
  "a delegate without a name": [action({ delegate: { namespace: "a" } }), error(".delegate.name")],
  "a delegate with a route": [http({ delegate: { name: "a" } }), error("")],
  "one without hosts": [{ http: [{ route }] }, []],
  "one without hosts for a gateway": [{ gateways: ["edge"], http: [{ route }] }, ["error spec.gateways"]],
  "one without hosts that delegates": [{ http: [{ delegate: { name: "it" } }] }, ["error spec.http[0].delegate"]],
  "one without hosts for connections": [{ tcp: [{ route }] }, ["error spec.tcp"]],
  "a TCP route to nowhere": [{ hosts: ["a"], tcp: [{ route: [] }] }, ["error spec.tcp[0].route"]],
  "a bad range of addresses": [
    { hosts: ["a"], tcp: [{ match: [{ destinationSubnets: ["10.0.0.0/33", "10.0.0.0/8", "fd00::1"] }], route }] },
    ["error spec.tcp[0].match[0].destinationSubnets[0]"],
  ],
  "TCP destinations without weights": [
    { hosts: ["a"], tcp: [{ route: [route[0], route[0]] }] },
    ["error spec.tcp[0].route"],
  ],
  "a server name that is none of the hosts": [
    { hosts: ["a.test"], tls: [{ match: [{ sniHosts: ["a.test", "b.test", "*.*.test"] }], route }] },
    ["error spec.tls[0].match[0].sniHosts[1]", "error spec.tls[0].match[0].sniHosts[2]"],
  ],
  "server names below a wildcard": [
    { hosts: ["*.test"], tls: [{ match: [{ sniHosts: ["a.test", "*.a.test"] }], route }] },
    [],
  ],
  "no server name": [
    { hosts: ["a"], tls: [{ match: [{ port: 443 }], route }] },
    ["error spec.tls[0].match[0].sniHosts"],
  ],
  "an unknown condition of connections": [
    { hosts: ["a"], tcp: [{ match: [{ sourceSubnet: "10.0.0.0/8" }], route }] },
    ["error spec.tcp[0].match[0].sourceSubnet"],
  ],
};

test("an object that asks for more routes than a control plane could hold is refused, however small it is", () => {
  const match = (count: number) => Array.from({ length: count }, (_, index) => ({ uri: { exact: `/${index}` } }));
  const hosts = Array.from({ length: 500 }, (_, index) => `a${index}.test`);
  assert.deepEqual(findingsOf({ hosts, http: [{ match: match(100), route }] }), []);
  assert.deepEqual(findingsOf({ hosts, http: [{ match: match(101), route }] }), ["error spec.hosts"]);
});

test("thousands of server names and hosts are compared in no more than a moment", () => {
  const names = Array.from({ length: 10_000 }, (_, index) => `a${index}.test`);
  const spec = { hosts: names, tls: [{ match: [{ sniHosts: names }], route }] };
  assert.deepEqual(
    withinCpuMs(5000, () => findingsOf(spec)),
    [],
  );
});

for (const [name, [spec, findings]] of Object.entries(cases)) {
  test(`a VirtualService with ${name}`, () => assert.deepEqual(findingsOf(spec), findings));
}
