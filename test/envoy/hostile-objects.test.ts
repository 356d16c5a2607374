import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import { assertEnvoyAccepts, configOf } from "../support/accepted.ts";
import { envoyMissing } from "../support/envoy.ts";
import { endpoint, istio, pod, service } from "../support/manifests.ts";
import { meshOf, objectsOf } from "../support/mesh.ts";

/**
 * Envoy refuses a whole listener or route table over one bad part of it, and with it what other people's objects say.
 * So whatever a user can write must either be refused as an object, or become something that Envoy takes.
 */

const web = { name: "web-0", ip: "10.1.0.1", labels: { app: "web" }, tls: true };
const base = [
  pod(web),
  service({ name: "web", ports: { http: { port: 80, targetPort: 8080 } }, clusterIP: "10.0.0.1" }),
  endpoint("web", web, { http: 8080 }),
].join("");

const to = { route: [{ destination: { host: "web" } }] };
const routing = (http: object, hosts: string[] = ["web"]) => istio("VirtualService", "v", { hosts, http: [http] });
const matching = (match: object) => routing({ match: [match], ...to });
const setting = (set: Record<string, string>) => routing({ ...to, headers: { request: { set } } });
const retrying = (retries: object) => routing({ ...to, retries });
const ruling = (trafficPolicy: object) => istio("DestinationRule", "d", { host: "web", trafficPolicy });
const hashing = (consistentHash: object) => ruling({ loadBalancer: { consistentHash } });
const allowing = (rule: object) => istio("AuthorizationPolicy", "a", { rules: [rule] });
const fromSource = (source: object) => allowing({ from: [{ source }] });
const portModes = (portLevelMtls: object) =>
  istio("PeerAuthentication", "p", { selector: { matchLabels: { app: "web" } }, portLevelMtls });
const another = (ports: Parameters<typeof service>[0]["ports"], options: Partial<Parameters<typeof service>[0]> = {}) =>
  service({ name: "other", selector: { app: "web" }, clusterIP: "10.0.0.2", ports, ...options });
const slice = (addressType: string, addresses: string[], port: object) =>
  `---\n${JSON.stringify({
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: "web-x", namespace: "shop", labels: { "kubernetes.io/service-name": "web" } },
    addressType,
    ports: [port],
    endpoints: [{ addresses }],
  })}\n`;

/** An endpoint, and where a Sidecar listens and sends: three sockets of a path that ends so. */
const sockets = (end: string) =>
  istio("ServiceEntry", "s", {
    hosts: ["s.example.com"],
    ports: [{ number: 80, name: "http", protocol: "HTTP" }],
    resolution: "STATIC",
    endpoints: [{ address: `unix:///${end}` }],
  }) +
  istio("Sidecar", "s", {
    egress: [{ port: { number: 82, protocol: "HTTP", name: "http" }, bind: `unix:///${end}`, hosts: ["*/*"] }],
    ingress: [{ port: { number: 84, protocol: "HTTP", name: "http" }, defaultEndpoint: `unix:///${end}` }],
  });

const refused: Record<string, string> = {
  "sockets of paths that are too long": sockets("é".repeat(54)),
  "two subsets of one name": istio("DestinationRule", "d", { host: "web", subsets: [{ name: "a" }, { name: "a" }] }),
  "a host that is said twice": routing(to, ["web", "web"]),
  "a host within another": routing(to, ["a.example.com", "*.example.com"]),
  "a host of all hosts": routing(to, ["*"]),
  "several destinations without weight": routing({ route: [...to.route, ...to.route] }),
  "an operation on :path": setting({ ":path": "/" }),
  "a removal of :path": routing({ ...to, headers: { response: { remove: [":path"] } } }),
  "a removal of no name": routing({ ...to, headers: { response: { remove: [""] } } }),
  "a header without a name": setting({ "": "a" }),
  "a header with a blank in its name": setting({ "a b": "a" }),
  "a percent sign": setting({ x: "100%" }),
  "an unknown command": setting({ x: "%FOO(x)%" }),
  "an unknown command in a destination": routing({
    route: [{ destination: { host: "web" }, headers: { response: { add: { x: "%FOO%" } } } }],
  }),
  "a line break in a header": setting({ x: "a\nb" }),
  "a line break in a rewritten path": routing({ ...to, rewrite: { uri: "/a\nb" } }),
  "a line break in a rewritten authority": routing({ ...to, rewrite: { authority: "a\nb" } }),
  "a line break in a redirect": routing({ redirect: { uri: "/a\r" } }),
  "an empty regex for the path": matching({ uri: { regex: "" } }),
  "an empty regex for a header": matching({ headers: { x: { regex: "" } } }),
  "a regex that RE2 does not know": matching({ uri: { regex: "(?=a)" } }),
  "a regex that Envoy has no room for": matching({ uri: { regex: "(\\pL\\pN\\pS\\pP){1,1000}" } }),
  "a match of a header without a name": matching({ headers: { "": { exact: "a" } } }),
  "a match of no header without a name": matching({ withoutHeaders: { "": { exact: "a" } } }),
  "a match of a parameter without a name": matching({ queryParams: { "": { exact: "a" } } }),
  "a match of a parameter with a long name": matching({ queryParams: { ["é".repeat(513)]: { exact: "a" } } }),
  "too many attempts": retrying({ attempts: 5_000_000_000 }),
  "an empty redirect": routing({ redirect: {} }),
  "empty rewrites": routing({ ...to, rewrite: { uri: "", authority: "" } }),
  "status codes that are none": retrying({ attempts: 1, retryOn: "99999999999,9999,foo,,503" }),
  "an endless timeout": routing({ ...to, timeout: `${"9".repeat(400)}h` }),
  "no routes": istio("VirtualService", "v", { hosts: ["web"], http: [] }),
  "half an address": fromSource({ ipBlocks: ["10"] }),
  "a block without its length": fromSource({ notIpBlocks: ["10.0.0.1/"] }),
  "a block that is too long": fromSource({ remoteIpBlocks: ["10.0.0.1/33"] }),
  "a condition on half an address": allowing({ when: [{ key: "source.ip", values: ["10"] }] }),
  "a condition on a port that is none": allowing({ when: [{ key: "destination.port", notValues: ["x"] }] }),
  "a condition on what nobody knows": allowing({ when: [{ key: "request.moon", values: ["full"] }] }),
  "a condition on a header that cannot be": allowing({ when: [{ key: "request.headers[bad header]", values: ["a"] }] }),
  "a template of a path": allowing({ to: [{ operation: { notPaths: ["/a/{*}"] } }] }),
  "a mode for port 0": portModes({ "0": { mode: "STRICT" } }),
  "a mode for port 65536": portModes({ "65536": { mode: "STRICT" } }),
  "a mode for a port written twice": portModes({ "9": { mode: "STRICT" }, "09": { mode: "DISABLE" } }),
  "a target port that is none": another({ http: { port: 83, targetPort: 99999 } }),
  "a negative target port": another({ http: { port: 83, targetPort: -1 } }),
  "an endpoint's port that is none": slice("IPv4", ["10.1.1.1"], { name: "http", port: 80_800 }),
};

const accepted: Record<string, string> = {
  "sockets of the longest paths": sockets("é".repeat(53)),
  "set host": setting({ host: "a.com" }),
  "set :authority": setting({ ":authority": "a.com" }),
  "remove host": routing({ ...to, headers: { request: { remove: ["Host"] }, response: { remove: ["host"] } } }),
  "known commands": setting({ x: "%REQ(:path)% of %DOWNSTREAM_REMOTE_ADDRESS% 100%%", y: "" }),
  "every command": setting(
    Object.fromEntries(
      "CONNECTION_ID DOWNSTREAM_PEER_URI_SAN HOSTNAME PROTOCOL RESPONSE_CODE ROUTE_NAME START_TIME UPSTREAM_HOST"
        .split(" ")
        .map((command) => [`x-${command}`, `%${command}%`]),
    ),
  ),
  "empty matches": matching({ uri: { prefix: "" }, headers: { x: { prefix: "" }, y: { exact: "" } } }),
  "an empty parameter": matching({ queryParams: { q: { prefix: "" } }, withoutHeaders: { x: { prefix: "" } } }),
  "a long regex": matching({ uri: { regex: `/${"a".repeat(300)}` } }),
  "a path without its slash": matching({ uri: { exact: "a" } }),
  "a group that no regex has": routing({ match: [{ uri: { regex: "/a" } }], rewrite: { uri: "/\\9" }, ...to }),
  "a long name": routing({ name: "x".repeat(3000), ...to }),
  "hosts of a wildcard by another name in DNS": istio("ServiceEntry", "s", {
    hosts: ["*.example.com"],
    ports: [
      { number: 80, name: "http", protocol: "HTTP" },
      { number: 443, name: "tls", protocol: "TLS" },
      { number: 53, name: "dns", protocol: "UDP" },
    ],
    resolution: "DNS",
    endpoints: [{ address: "www.example.com" }],
  }),
  "a host without endpoints": istio("ServiceEntry", "s", {
    hosts: ["none.example.com"],
    ports: [{ number: 80, name: "http", protocol: "HTTP" }],
    resolution: "STATIC",
  }),
  "a tiny timeout": routing({ ...to, timeout: "1ns" }),
  "a timeout that rounds up to a second": routing({ ...to, timeout: "0.9999999999s" }),
  "no time for a try": retrying({ attempts: 2, perTryTimeout: "0s" }),
  "one host in two cases": routing(to, ["a.example.com", "A.example.com"]),
  "a service by its short name": routing(to, ["web.shop", "*.web.shop", "10.0.0.1"]),
  "odd conditions": allowing({
    when: [
      { key: "request.headers[a]", values: [""] },
      { key: "source.principal", values: ["", "**", "*a*"] },
      { key: "connection.sni", notValues: ["*"] },
    ],
  }),
  "namespaces like regexes": fromSource({ namespaces: ["a(b", "\\", "é", "[", "*"] }),
  "a mode for the capturing port": portModes({ "15006": { mode: "DISABLE" } }),
  "listeners of a Sidecar on the proxy's own ports":
    another({ "http-a": 15001, "http-b": 15006, "http-c": 15021, "http-d": 15090 }) +
    istio("Sidecar", "s", {
      egress: ["0.0.0.0", "::", "::0", "127.0.0.9", ""].flatMap((bind) =>
        [15001, 15006, 15021, 15090].map((number) => ({
          ...{ port: { number, protocol: "HTTP", name: "http" }, bind, captureMode: "NONE", hosts: ["*/*"] },
        })),
      ),
    }),
  "HTTP on the capturing port": another({ http: 15001, "http-b": 15006, "http-c": 15021 }),
  "TCP on the capturing port": another({ tcp: 15001 }),
  "an application on the capturing port":
    another({ http: { port: 83, targetPort: 15006 } }) +
    istio("PeerAuthentication", "p", { mtls: { mode: "DISABLE" } }),
  "a target named as a method of all objects": another({ http: { port: 83, targetPort: "constructor" } }),
  "a port named as a method of all objects": service({
    name: "web",
    ports: { constructor: { port: 83, targetPort: 8080 } },
    clusterIP: "10.0.0.1",
  }),
  "a wish for where traffic goes that all objects have as a method": another(
    { http: 83 },
    { spec: { trafficDistribution: "constructor" } },
  ),
  "two services of one address": another({ http: 80 }, { clusterIP: "10.0.0.1" }),
  "an address that is none": another({ tcp: 82, http: 80 }, { clusterIP: "bogus" }),
  "an address of IPv6": another({ tcp: 82, http: 80 }, { clusterIP: "fd00::1" }),
  "one port twice": another({ "http-a": 80, "http-b": 80, "tcp-a": 81, "tcp-b": 81 }),
  "a service named like another": another({ http: 80 }, { name: "web.shop" }),
  "a host name for an address": slice("FQDN", ["web.example.com"], { name: "http", port: 80 }),
  "an address with an interface": slice("IPv6", ["fe80::1%eth0"], { name: "http", port: 80 }),
  "an endpoint without a port": slice("IPv4", ["10.1.1.1"], { name: "http" }),
  "an answer with percent signs and line breaks": routing({
    directResponse: { status: 599, body: { string: "100% \r\n\0" } },
  }),
  "an empty answer": routing({ directResponse: { status: 200, body: { bytes: "" } } }),
  "a rewrite by a group": routing({ ...to, rewrite: { uriRegexRewrite: { match: "(a)|b", rewrite: "\\1\\\\" } } }),
  "every fault": routing({
    ...to,
    fault: {
      delay: { fixedDelay: "1ns", percentage: { value: 0.00001 } },
      abort: { grpcStatus: "OK", percentage: { value: 100 } },
    },
  }),
  "mirrors to nowhere": routing({ ...to, mirrors: [{ destination: { host: "nobody", subset: "x" } }] }),
  "every origin": routing({
    ...to,
    corsPolicy: {
      allowOrigins: [{ prefix: "" }, { exact: "" }],
      allowMethods: ["*"],
      allowHeaders: ["*"],
      maxAge: "0s",
    },
  }),
  "every kind of retry": retrying({
    attempts: 2,
    retryOn: "5xx, 503 ,retriable-headers,cancelled",
    backoff: "1ns",
    retryRemoteLocalities: true,
    retryIgnorePreviousHosts: false,
  }),
  "a strange name for statistics": matching({ statPrefix: "a b|c\u00e9" }),
  "a pool of zeros": ruling({
    connectionPool: {
      tcp: { maxConnections: 0, tcpKeepalive: { probes: 0, time: "1ns", interval: "999999s" }, idleTimeout: "0s" },
      http: { http1MaxPendingRequests: 0, maxRequestsPerConnection: 0, maxConcurrentStreams: 0, idleTimeout: "0s" },
    },
  }),
  "a pool of the most": ruling({
    connectionPool: {
      tcp: { maxConnections: 2 ** 31 - 1, connectTimeout: "2000000h", maxConnectionDuration: "2000000h" },
      http: { h2UpgradePolicy: "UPGRADE", maxConcurrentStreams: 2 ** 31 - 1, maxRetries: 2 ** 31 - 1 },
    },
  }),
  "outliers of zeros": ruling({
    outlierDetection: {
      consecutive5xxErrors: 0,
      consecutiveGatewayErrors: 0,
      maxEjectionPercent: 0,
      minHealthPercent: 0,
    },
  }),
  "outliers of the most": ruling({
    outlierDetection: { consecutive5xxErrors: 2 ** 31 - 1, baseEjectionTime: "2000000h", interval: "1ns" },
  }),
  "a warmup without end": ruling({
    loadBalancer: { simple: "LEAST_REQUEST", warmup: { duration: "2000000h", minimumPercent: 0, aggression: 1e300 } },
  }),
  "the caller's address": ruling({ loadBalancer: { simple: "PASSTHROUGH" } }),
  "the largest ring": hashing({ useSourceIp: true, ringHash: { minimumRingSize: 8 * 1024 * 1024 } }),
  "the largest table": hashing({ httpHeaderName: ":path", maglev: { tableSize: 5_000_011 } }),
  "a cookie's strange attributes": hashing({
    httpCookie: { name: "é", path: "a=b", ttl: "2000000h", attributes: [{ name: "=", value: "é" }] },
  }),
  "a parameter's strange name": hashing({ httpQueryParameterName: "a&b=\n" }),
  "a tunnel": ruling({ tunnel: { protocol: "POST", targetHost: "a%b", targetPort: 1 } }),
  "PROXY before mutual TLS": ruling({ tls: { mode: "ISTIO_MUTUAL", sni: "é" }, proxyProtocol: {} }),
  "a budget of nothing": ruling({ retryBudget: { percent: 0, minRetryConcurrency: 0 } }),
  "a budget of everything": ruling({ retryBudget: {} }),
  "one subset in two cases": istio("DestinationRule", "d", {
    host: "web",
    subsets: [{ name: "a" }, { name: "A", labels: { app: "x" } }],
  }),
};

test("what Envoy would refuse is refused as an object", async (t) => {
  for (const [name, yaml] of Object.entries(refused)) {
    await t.test(name, () => assert.throws(() => objectsOf(yaml), /: \S/));
  }
});

test("Envoy takes what is made of any object that is not refused", { skip: envoyMissing() }, async () => {
  const configs = new Map<string, JsonObject>();
  for (const [name, yaml] of Object.entries({ base: "", ...accepted })) {
    configs.set(name, configOf(meshOf(base + yaml), "web-0.shop"));
  }
  await assertEnvoyAccepts(configs);
});
