import assert from "node:assert/strict";
import { test } from "node:test";
import { parseObject } from "../mesh/parse-object.ts";
import { kindSchemaOf } from "../mesh/schemas.ts";
import { validate } from "./validate.ts";

/** Judged alike by Istio's own validation, of which these are the words. */

type Document = readonly [kind: string, spec: object, metadata?: object];

const route = [{ destination: { host: "cart" } }];
const http = (fields: object): Document => ["VirtualService", { hosts: ["cart"], http: [{ route, ...fields }] }];
const redirect = (fields: object): Document => ["VirtualService", { hosts: ["cart"], http: [{ redirect: fields }] }];
const match = (fields: object) => http({ match: [fields] });
const policy = (fields: object): Document => ["DestinationRule", { host: "cart", trafficPolicy: fields }];
const hash = (fields: object) => policy({ loadBalancer: { consistentHash: { useSourceIp: true, ...fields } } });
const locality = (fields: object) => policy({ loadBalancer: { localityLbSetting: fields }, outlierDetection: {} });
const from = (...places: string[]) => locality({ distribute: places.map((from) => ({ from, to: { z: 100 } })) });
const to = (weights: object) => locality({ distribute: [{ from: "a", to: weights }] });
const entry = (fields: object): Document => ["ServiceEntry", { hosts: ["a.test"], ...fields }];
const web = [{ number: 80, name: "http", protocol: "HTTP" }];
const raw = [{ number: 80, name: "tcp", protocol: "TCP" }];
const sidecar = (fields: object): Document => ["Sidecar", { egress: [{ hosts: ["*/*"] }], ...fields }];
const egress = (...listeners: object[]) => sidecar({ egress: listeners.map((each) => ({ hosts: ["*/*"], ...each })) });
const server = (fields: object): Document => ["Gateway", { servers: [{ hosts: ["a.test"], port: web[0], ...fields }] }];
const when = (key: string, ...values: string[]): Document => [
  "AuthorizationPolicy",
  { rules: [{ when: [{ key, values }] }] },
];
const accounts = (count: number): Document => {
  const serviceAccounts = Array.from({ length: count }, (_, index) => `a${index}`);
  return ["AuthorizationPolicy", { rules: [{ from: [{ source: { serviceAccounts } }] }] }];
};
const dryRun = (value: string, kind: string, spec: object): Document => {
  return [kind, spec, { annotations: { "istio.io/dry-run": value } }];
};

const https = { number: 443, name: "https", protocol: "HTTPS" };
const files = { mode: "SIMPLE", serverCertificate: "/a", privateKey: "/b" };
const setting = "spec.trafficPolicy.loadBalancer.localityLbSetting";
const pool = (fields: object) => policy({ connectionPool: fields });

const refused: Readonly<Record<string, readonly [document: Document, field: string]>> = {
  "no time at all": [http({ timeout: "0s" }), "spec.http[0].timeout"],
  "less than a millisecond": [http({ timeout: "999us" }), "spec.http[0].timeout"],
  "a fraction of a millisecond": [
    http({ retries: { attempts: 1, perTryTimeout: "1.5ms" } }),
    "spec.http[0].retries.perTryTimeout",
  ],
  "a nanosecond too much": [
    pool({ http: { idleTimeout: "30.000000001s" } }),
    "spec.trafficPolicy.connectionPool.http.idleTimeout",
  ],
  "a connection that may be idle for a fraction": [
    pool({ tcp: { idleTimeout: "1.5ms" } }),
    "spec.trafficPolicy.connectionPool.tcp.idleTimeout",
  ],
  "an answer that is forgotten at once": [http({ corsPolicy: { maxAge: "0s" } }), "spec.http[0].corsPolicy.maxAge"],
  "an empty prefix of a header": [match({ headers: { a: { prefix: "" } } }), "spec.http[0].match[0].headers.a"],
  "an empty prefix of a header that is not wanted": [
    match({ withoutHeaders: { a: { prefix: "" } } }),
    "spec.http[0].match[0].withoutHeaders.a",
  ],
  "an empty prefix of a parameter": [
    match({ queryParams: { a: { prefix: "" } } }),
    "spec.http[0].match[0].queryParams.a",
  ],
  "an empty prefix of a method": [match({ method: { prefix: "" } }), "spec.http[0].match[0].method"],
  "a pseudo header that is none": [
    match({ headers: { ":foo": { exact: "a" } } }),
    'spec.http[0].match[0].headers[":foo"]',
  ],
  "a namespace that is none": [match({ sourceNamespace: "a.b" }), "spec.http[0].match[0].sourceNamespace"],
  "no Host header": [http({ headers: { request: { remove: ["Host"] } } }), "spec.http[0].headers.request.remove[0]"],
  "a Host header of answers": [
    http({ headers: { response: { set: { host: "a" } } } }),
    "spec.http[0].headers.response.set.host",
  ],
  "no Host header for a destination": [
    http({ route: [{ destination: { host: "cart" }, headers: { request: { remove: ["host"] } } }] }),
    "spec.http[0].route[0].headers.request.remove[0]",
  ],
  "two new authorities": [
    http({ rewrite: { authority: "a" }, headers: { request: { set: { Host: "b" } } } }),
    "spec.http[0]",
  ],
  "a redirect to another scheme": [redirect({ scheme: "ftp" }), "spec.http[0].redirect.scheme"],
  "a redirect to a scheme in capitals": [redirect({ scheme: "HTTPS" }), "spec.http[0].redirect.scheme"],
  "a rewrite into nothing": [
    http({ rewrite: { uriRegexRewrite: { match: "a" } } }),
    "spec.http[0].rewrite.uriRegexRewrite.rewrite",
  ],
  "an origin of nothing": [
    http({ corsPolicy: { allowOrigins: [{ exact: "" }] } }),
    "spec.http[0].corsPolicy.allowOrigins[0]",
  ],
  "a prefix of any origin": [
    http({ corsPolicy: { allowOrigins: [{ prefix: "" }] } }),
    "spec.http[0].corsPolicy.allowOrigins[0]",
  ],
  "blanks in retryOn": [http({ retries: { attempts: 1, retryOn: "5xx, reset" } }), "spec.http[0].retries.retryOn"],
  "a share that nobody counts": [
    http({ fault: { abort: { httpStatus: 500, percentage: { value: 0.00001 } } } }),
    "spec.http[0].fault.abort.percentage.value",
  ],
  "a host with an underscore": [["VirtualService", { hosts: ["a_b"], http: [{ route }] }], "spec.hosts[0]"],
  "a host of two dots": [entry({ hosts: ["a..b"] }), "spec.hosts[0]"],
  "a host that is an address": [entry({ hosts: ["10.0.0.1"] }), "spec.hosts[0]"],
  "a destination that is an address": [
    http({ route: [{ destination: { host: "10.0.0.1" } }] }),
    "spec.http[0].route[0].destination.host",
  ],
  "a part of a host that is too long": [["DestinationRule", { host: `${"a".repeat(64)}.b` }], "spec.host"],
  "routes for nobody": [["VirtualService", { hosts: ["cart"], http: [{ route }], exportTo: ["~"] }], "spec.exportTo"],
  "a rule for nobody": [["DestinationRule", { host: "cart", exportTo: ["~"] }], "spec.exportTo"],
  "a table of no size": [hash({ maglev: {} }), "spec.trafficPolicy.loadBalancer.consistentHash.maglev.tableSize"],
  "two sizes of a ring": [
    hash({ minimumRingSize: 5, ringHash: {} }),
    "spec.trafficPolicy.loadBalancer.consistentHash.minimumRingSize",
  ],
  "an attribute twice": [
    policy({
      loadBalancer: { consistentHash: { httpCookie: { name: "a", attributes: [{ name: "b" }, { name: "b" }] } } },
    }),
    "spec.trafficPolicy.loadBalancer.consistentHash.httpCookie.attributes[1].name",
  ],
  "a zone behind its region": [from("a", "a/b"), `${setting}.distribute`],
  "a region behind its zone": [from("a/b", "a"), `${setting}.distribute`],
  "a place behind everywhere": [from("*", "a"), `${setting}.distribute`],
  "a region and a zone of it to go to": [to({ b: 50, "b/c": 50 }), `${setting}.distribute[0].to`],
  "a place to which nothing goes": [to({ b: 0, c: 100 }), `${setting}.distribute[0].to`],
  "a zone to fail over to": [locality({ failover: [{ from: "a", to: "b/c" }] }), `${setting}.failover[0]`],
  "regions to fail over to, and by label": [
    locality({ failover: [{ from: "a", to: "b" }], failoverPriority: ["topology.kubernetes.io/region"] }),
    `${setting}.failoverPriority`,
  ],
  "a Secret that is not asked for": [
    policy({ tls: { mode: "SIMPLE", credentialName: "a", insecureSkipVerify: true } }),
    "spec.trafficPolicy.tls.insecureSkipVerify",
  ],
  "a list of revoked certificates beside a Secret": [
    policy({ tls: { mode: "SIMPLE", credentialName: "a", caCrl: "/a" } }),
    "spec.trafficPolicy.tls.caCrl",
  ],
  "addresses of whatever is asked for": [
    entry({ hosts: ["*.test"], resolution: "DYNAMIC_DNS", addresses: ["10.0.0.1"], ports: web }),
    "spec.addresses",
  ],
  "several hosts on a port that tells none": [
    entry({ hosts: ["a.test", "b.test"], resolution: "DNS", ports: [...web, { ...raw[0], number: 81 }] }),
    "spec.ports[1].protocol",
  ],
  "a socket of two ports": [
    entry({ resolution: "STATIC", endpoints: [{ address: "unix:///a" }], ports: [...web, { ...raw[0], number: 81 }] }),
    "spec.endpoints[0].address",
  ],
  "an endpoint that DNS cannot know": [
    entry({ resolution: "DNS", ports: web, endpoints: [{ address: "a_b.test" }] }),
    "spec.endpoints[0].address",
  ],
  "a machine with an underscore": [["WorkloadEntry", { address: "a_b" }], "spec.address"],
  "a machine behind a folder": [["WorkloadEntry", { address: "unix:///a/" }], "spec.address"],
  "a short name to call": [egress({ hosts: ["./cart"] }), "spec.egress[0].hosts[0]"],
  "a port on two addresses": [
    egress({ bind: "10.0.0.1", port: { number: 80 } }, { bind: "10.0.0.2", port: { number: 80 } }),
    "spec.egress[1].port.number",
  ],
  "a port's name that is none": [egress({ port: { number: 80, name: "a_b" } }), "spec.egress[0].port.name"],
  "connections without a setting": [sidecar({ inboundConnectionPool: {} }), "spec.inboundConnectionPool"],
  "two ways to choose the version of HTTP": [
    sidecar({ inboundConnectionPool: { http: { h2UpgradePolicy: "UPGRADE", useClientProtocol: true } } }),
    "spec.inboundConnectionPool.http.h2UpgradePolicy",
  ],
  "a way out that does not say for whom": [
    sidecar({ outboundTrafficPolicy: { egressProxy: { host: "a.test", port: { number: 80 } } } }),
    "spec.outboundTrafficPolicy.mode",
  ],
  "a Gateway's port without a name": [server({ port: { number: 80, protocol: "HTTP" } }), "spec.servers[0].port.name"],
  "a Gateway's name with a dot": [["Gateway", server({})[1], { name: "a.b" }], "metadata.name"],
  "revoked certificates of nobody": [
    server({ port: https, tls: { ...files, caCrl: "/c" } }),
    "spec.servers[0].tls.caCrl",
  ],
  "a condition of nothing": [when("request.headers[a]", "b", ""), "spec.rules[0].when[0].values[1]"],
  "an account with a wildcard": [when("source.serviceAccount", "shop/*"), "spec.rules[0].when[0].values[0]"],
  "seventeen accounts": [accounts(17), "spec.rules[0].from[0].source.serviceAccounts"],
  "a dry run of what is no policy": [
    dryRun("true", "PeerAuthentication", {}),
    'metadata.annotations["istio.io/dry-run"]',
  ],
  "a dry run perhaps": [dryRun("perhaps", "AuthorizationPolicy", {}), 'metadata.annotations["istio.io/dry-run"]'],
};

const taken: Readonly<Record<string, Document>> = {
  "a millisecond": http({ timeout: "1ms" }),
  "a thousand microseconds": http({ timeout: "1000us" }),
  "a millisecond in seconds": http({ timeout: "0.001s" }),
  "a year to the millisecond": http({ timeout: "8760h0.001s" }),
  "connections that may be idle without end": pool({ tcp: { idleTimeout: "0s" } }),
  "a cookie of the session": policy({ loadBalancer: { consistentHash: { httpCookie: { name: "a", ttl: "0s" } } } }),
  "an older warmup": policy({ loadBalancer: { warmupDurationSecs: "1.5ms" } }),
  "an empty prefix of a path": match({ uri: { prefix: "" } }),
  "a pseudo header": match({ headers: { ":path": { exact: "/" } } }),
  "another Host header": http({ headers: { request: { set: { Host: "a" } } } }),
  "an address to route": ["VirtualService", { hosts: ["10.0.0.1"], http: [{ route }] }],
  "a name that is a number": ["VirtualService", { hosts: ["1"], http: [{ route }] }],
  "a service for its own proxies alone": entry({ exportTo: ["~"] }),
  "a place before everywhere": from("a", "*"),
  "a place before the rest of its zone": from("a/b/c", "a/b/*"),
  "two zones of a region": to({ "b/c": 50, "b/d": 50 }),
  "everywhere and a place to go to": to({ a: 50, "*": 50 }),
  "a region to fail over to, and by label": locality({ failover: [{ from: "a", to: "b" }], failoverPriority: ["app"] }),
  "several hosts on a port that goes anywhere": entry({ hosts: ["a.test", "b.test"], ports: raw }),
  "several hosts that requests name": entry({ hosts: ["a.test", "b.test"], resolution: "DNS", ports: web }),
  "a socket of one port": entry({ resolution: "STATIC", endpoints: [{ address: "unix:///a" }], ports: web }),
  "an abstract socket": ["WorkloadEntry", { address: "unix://@a" }],
  "whole names to call": egress({ hosts: ["./cart.shop.svc.cluster.local", "./*"] }),
  "a Gateway for an address": server({ hosts: ["10.0.0.1", "shop/a.test", "*"] }),
  "sixteen accounts": accounts(16),
  "a name as a gateway of another network asks for it": [
    "VirtualService",
    {
      hosts: ["outbound_.80_._.cart.test"],
      gateways: ["g"],
      tls: [{ match: [{ sniHosts: ["outbound_.80_._.cart.test"] }], route }],
    },
  ],
};

function documentOf([kind, spec, metadata = {}]: Document) {
  const apiVersion = kindSchemaOf(kind)?.apiVersions[0];
  return { apiVersion, kind, metadata: { name: "it", namespace: "shop", ...metadata }, spec };
}

function isAllowed(document: Document): boolean {
  const object = documentOf(document);
  const kind = { group: object.apiVersion?.split("/")[0] ?? "", version: "v1", kind: object.kind };
  const request = { uid: "u", kind, operation: "CREATE", namespace: "shop", name: object.metadata.name, object };
  return validate(request, { analyze: () => [] }).response.allowed;
}

for (const [what, [document, field]] of Object.entries(refused)) {
  test(`${what} is used where it is stored, and cannot be written`, () => {
    const { object, findings } = parseObject(documentOf(document));
    assert.notEqual(object, undefined);
    const found = findings.filter(({ code }) => code === "value-refused").map((finding) => finding.field);
    assert.deepEqual(found, [field]);
    assert.equal(isAllowed(document), false);
  });
}

for (const [what, document] of Object.entries(taken)) {
  test(`${what} can be written`, () => assert.equal(isAllowed(document), true));
}

test("a refusal is told before warnings that there are many of", () => {
  const idle = Array.from({ length: 20 }, (_, index) => ({
    destination: { host: `a${index}` },
    weight: index < 1 ? 100 : 0,
  }));
  assert.equal(isAllowed(http({ route: idle })), true);
  assert.equal(isAllowed(http({ route: idle, timeout: "0s" })), false);
});

test("a duration of many digits takes no time to judge", () => {
  const { object } = parseObject(documentOf(http({ timeout: `1.${"0".repeat(100_000)}1s` })));
  assert.notEqual(object, undefined);
  assert.equal(parseObject(documentOf(http({ timeout: `${"9".repeat(100_000)}ns` }))).object, undefined);
});
