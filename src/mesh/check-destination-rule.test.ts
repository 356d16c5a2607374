import assert from "node:assert/strict";
import { test } from "node:test";
import { parseObject } from "./parse-object.ts";

/** What Istio refuses of DestinationRules is an error at the field; what has no effect is a warning. */

function findingsOf(spec: object): string[] {
  const metadata = { name: "it", namespace: "shop" };
  const { findings } = parseObject({ apiVersion: "networking.istio.io/v1", kind: "DestinationRule", metadata, spec });
  return findings.map(({ severity, field }) => `${severity} ${field}`);
}

const policy = (trafficPolicy: object) => ({ host: "cart", trafficPolicy });
const hash = (consistentHash: object) => policy({ loadBalancer: { consistentHash } });
const locality = (localityLbSetting: object) =>
  policy({ loadBalancer: { localityLbSetting }, outlierDetection: { interval: "1s" } });
const tls = (settings: object) => policy({ tls: settings });
const error = (field: string) => [`error spec.trafficPolicy.${field}`];
const warning = (field: string) => [`warning spec.trafficPolicy.${field}`];

const cases: Readonly<Record<string, readonly [spec: object, findings: string[]]>> = {
  "an empty host": [{ host: "" }, ["error spec.host"]],
  "no host": [{}, ["error spec.host"]],
  "a host with a port": [{ host: "a.b:80" }, ["error spec.host"]],
  "a misspelt field": [policy({ loadbalancer: {}, tls: { mode: "SIMPLE" } }), warning("loadbalancer")],
  "a policy of nothing": [policy({}), ["error spec.trafficPolicy"]],
  "failures on the way that are not counted apart": [
    policy({ outlierDetection: { consecutiveLocalOriginFailures: 5 } }),
    error("outlierDetection.consecutiveLocalOriginFailures"),
  ],
  "failures on the way that are counted apart": [
    policy({ outlierDetection: { consecutiveLocalOriginFailures: 5, splitExternalLocalOriginErrors: true } }),
    [],
  ],
  "a selector for callers of its own namespace": [
    { host: "cart", workloadSelector: { matchLabels: { app: "a" } }, exportTo: ["shop"] },
    [],
  ],
  "a selector for callers of other namespaces": [
    { host: "cart", workloadSelector: { matchLabels: { app: "a" } }, exportTo: ["*"] },
    ["error spec.exportTo"],
  ],
  "a tunnel with the proxy protocol": [
    policy({ tunnel: { targetHost: "a", targetPort: 80 }, proxyProtocol: { version: "V1" } }),
    ["error spec.trafficPolicy"],
  ],
  "a port's policy of nothing": [
    policy({ portLevelSettings: [{ port: { number: 80 } }] }),
    error("portLevelSettings[0]"),
  ],
  "a namespace that is none": [{ host: "cart", exportTo: ["a_b"] }, ["error spec.exportTo[0]"]],
  "a misspelt field of TLS": [tls({ mode: "SIMPLE", sans: [] }), error("tls.sans")],
  "a mode that is none": [tls({ mode: "STRICT" }), error("tls.mode")],
  "two ways to balance": [
    policy({ loadBalancer: { simple: "RANDOM", consistentHash: { useSourceIp: true } } }),
    error("loadBalancer"),
  ],
  "no key to hash": [hash({}), error("loadBalancer.consistentHash")],
  "a key that is turned off": [hash({ useSourceIp: false }), error("loadBalancer.consistentHash")],
  "two keys to hash": [hash({ useSourceIp: true, httpHeaderName: "a" }), error("loadBalancer.consistentHash")],
  "two algorithms": [
    hash({ useSourceIp: true, maglev: { tableSize: 7 }, ringHash: {} }),
    error("loadBalancer.consistentHash"),
  ],
  "a table that is not prime": [
    hash({ useSourceIp: true, maglev: { tableSize: 1000 } }),
    error("loadBalancer.consistentHash.maglev.tableSize"),
  ],
  "a table that is prime": [hash({ useSourceIp: true, maglev: { tableSize: 65_537 } }), []],
  "a header that is none": [hash({ httpHeaderName: "a b" }), error("loadBalancer.consistentHash.httpHeaderName")],
  "a cookie that is none": [hash({ httpCookie: { name: "a;b" } }), error("loadBalancer.consistentHash.httpCookie")],
  "a warmup of hashes": [
    policy({ loadBalancer: { consistentHash: { useSourceIp: true }, warmup: { duration: "1s" } } }),
    warning("loadBalancer"),
  ],
  "a warmup of nothing": [
    policy({ loadBalancer: { warmup: { duration: "0s" } } }),
    error("loadBalancer.warmup.duration"),
  ],
  "shares of localities that miss some": [
    locality({ distribute: [{ from: "a/*", to: { "b/*": 70, "c/*": 20 } }] }),
    error("loadBalancer.localityLbSetting.distribute[0].to"),
  ],
  "a locality with a wildcard in the middle": [
    locality({ distribute: [{ from: "a/*/c", to: { b: 100 } }] }),
    error("loadBalancer.localityLbSetting.distribute[0]"),
  ],
  "shares and failover": [
    locality({ distribute: [{ from: "a", to: { b: 100 } }], failover: [{ from: "a", to: "b" }] }),
    error("loadBalancer.localityLbSetting"),
  ],
  "a failover to itself": [
    locality({ failover: [{ from: "a", to: "a" }] }),
    error("loadBalancer.localityLbSetting.failover[0]"),
  ],
  "a failover that nothing sets off": [
    policy({ loadBalancer: { localityLbSetting: { failover: [{ from: "a", to: "b" }] } } }),
    warning("loadBalancer.localityLbSetting"),
  ],
  "a keepalive that waits for no answer": [
    policy({ connectionPool: { http: { http2KeepAlive: { interval: "1s", timeout: "0s" } } } }),
    error("connectionPool.http.http2KeepAlive.timeout"),
  ],
  "a pool of nothing": [policy({ connectionPool: {} }), error("connectionPool")],
  "no time to connect": [
    policy({ connectionPool: { tcp: { connectTimeout: "0s" } } }),
    error("connectionPool.tcp.connectTimeout"),
  ],
  "negative connections": [
    policy({ connectionPool: { tcp: { maxConnections: -1 } } }),
    error("connectionPool.tcp.maxConnections"),
  ],
  "two protocols at once": [
    policy({ connectionPool: { http: { h2UpgradePolicy: "UPGRADE", useClientProtocol: true } } }),
    error("connectionPool.http.h2UpgradePolicy"),
  ],
  "an interval of nothing": [policy({ outlierDetection: { interval: "0ms" } }), error("outlierDetection.interval")],
  "more than all endpoints": [
    policy({ outlierDetection: { maxEjectionPercent: 101 } }),
    error("outlierDetection.maxEjectionPercent"),
  ],
  "MUTUAL without a certificate": [tls({ mode: "MUTUAL" }), error("tls")],
  "MUTUAL with files": [tls({ mode: "MUTUAL", clientCertificate: "/c", privateKey: "/k" }), []],
  "MUTUAL with a secret": [
    { ...tls({ mode: "MUTUAL", credentialName: "c" }), workloadSelector: { matchLabels: { app: "a" } } },
    [],
  ],
  "a secret for nobody": [tls({ mode: "SIMPLE", credentialName: "c" }), ["warning spec.workloadSelector"]],
  "a secret and files": [
    {
      ...tls({ mode: "SIMPLE", credentialName: "c", caCertificates: "/ca" }),
      workloadSelector: { matchLabels: { a: "b" } },
    },
    error("tls"),
  ],
  "a verification that is skipped": [
    tls({ mode: "SIMPLE", insecureSkipVerify: true }),
    warning("tls.insecureSkipVerify"),
  ],
  "a verification that is skipped and asked for": [
    tls({ mode: "SIMPLE", insecureSkipVerify: true, subjectAltNames: ["a"] }),
    error("tls.insecureSkipVerify"),
  ],
  "a secret and files that nobody uses": [
    { ...tls({ credentialName: "c", caCertificates: "/ca" }), workloadSelector: { matchLabels: { a: "b" } } },
    warning("tls.credentialName"),
  ],
  "a verification that is skipped where there is none": [
    tls({ mode: "DISABLE", insecureSkipVerify: true, caCertificates: "/ca" }),
    warning("tls.insecureSkipVerify"),
  ],
  "an empty name to expect": [tls({ mode: "SIMPLE", subjectAltNames: [""] }), error("tls.subjectAltNames[0]")],
  "a line break": [tls({ mode: "SIMPLE", sni: "a\nb" }), error("tls.sni")],
  "files that the mesh's TLS does not use": [
    tls({ mode: "ISTIO_MUTUAL", caCertificates: "/ca" }),
    warning("tls.caCertificates"),
  ],
  "a port twice": [
    policy({ portLevelSettings: [1, 2].map(() => ({ port: { number: 80 }, tls: { mode: "SIMPLE" } })) }),
    warning("portLevelSettings[1]"),
  ],
  "a mistake for a port": [
    policy({ portLevelSettings: [{ port: { number: 80 }, tls: { mode: "MUTUAL" } }] }),
    error("portLevelSettings[0].tls"),
  ],
  "a mistake in a subset": [
    { host: "cart", subsets: [{ name: "v1", trafficPolicy: { connectionPool: {} } }] },
    ["error spec.subsets[0].trafficPolicy.connectionPool"],
  ],
  "a tunnel to a wildcard": [
    policy({ tunnel: { protocol: "CONNECT", targetHost: "*.a", targetPort: 80 } }),
    error("tunnel.targetHost"),
  ],
  "a tunnel without a port": [policy({ tunnel: { targetHost: "a" } }), error("tunnel.targetPort")],
  "a budget above all": [policy({ retryBudget: { percent: 101 } }), error("retryBudget.percent")],
  "a selector that selects all": [{ host: "cart", workloadSelector: {} }, ["warning spec.workloadSelector"]],
  "a selector with a wildcard": [
    { host: "cart", workloadSelector: { matchLabels: { app: "a*" } } },
    ["error spec.workloadSelector.matchLabels.app"],
  ],
};

for (const [name, [spec, findings]] of Object.entries(cases)) {
  test(`a DestinationRule with ${name}`, () => assert.deepEqual(findingsOf(spec), findings));
}
