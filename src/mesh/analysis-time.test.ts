import assert from "node:assert/strict";
import { test } from "node:test";
import { withinCpuMs } from "../../test/support/cpu-time.ts";
import { istio, pod, service } from "../../test/support/manifests.ts";
import { objectsOf } from "../../test/support/mesh.ts";
import { rateLimit } from "../../test/support/rate-limits.ts";
import { analyzeReferences } from "./analyze.ts";

/** Thousands of objects of one kind that are compared with each other, and how many findings they make. */

const MANY = 3000;
const many = (make: (at: number) => string) => Array.from({ length: MANY }, (_, at) => make(at)).join("");
const rule = (at: number, spec: object) => istio("DestinationRule", `r${at}`, { host: "cart", ...spec });
const pods = (labels: (at: number) => Record<string, string>) =>
  many((at) => pod({ name: `p${at}`, ip: "10.0.0.1", labels: labels(at) }));
const route = (host: string, subset?: string) => ({
  http: [{ route: [{ destination: { host, ...(subset && { subset }) } }] }],
});
const server = (protocol: string) => ({ port: { number: 443, name: "p", protocol }, hosts: ["a.test"] });
const https = { ...server("HTTPS"), tls: { mode: "ISTIO_MUTUAL" } };
const gateway = (at: number, selector: object, ...servers: object[]) =>
  istio("Gateway", `g${at}`, { selector, servers });
const limit = { name: "a", scope: "PROXY", rate: { amount: 1, unit: "DAY" } };

const cases: Readonly<Record<string, readonly [manifests: () => string, findings: number]>> = {
  "rules of a host with subsets of their own": [() => many((at) => rule(at, { subsets: [{ name: `s${at}` }] })), 0],
  "rules of a host that no namespace sees two of": [
    () =>
      many((at) => rule(at, { exportTo: [`n${at}`], trafficPolicy: { retryBudget: {} }, subsets: [{ name: "s" }] })),
    0,
  ],
  "rules without mutual TLS, for pods under policies of their own": [
    () =>
      many((at) => rule(at, { trafficPolicy: { tls: { mode: "DISABLE" } } })) +
      pods((at) => ({ app: "cart", at: `${at}` })) +
      many((at) =>
        istio("PeerAuthentication", `p${at}`, {
          selector: { matchLabels: { at: `${at}` } },
          mtls: { mode: "STRICT" },
        }),
      ),
    4 * MANY,
  ],
  "rules whose subsets are a pod each": [
    () =>
      many((at) => rule(at, { subsets: [{ name: `s${at}`, labels: { at: `${at}` } }] })) +
      pods((at) => ({ app: "cart", at: `${at}` })),
    0,
  ],
  "VirtualServices of a host that no namespace sees two of": [
    () => many((at) => istio("VirtualService", `v${at}`, { hosts: ["cart"], exportTo: [`n${at}`], ...route("cart") })),
    0,
  ],
  "VirtualServices that lead to subsets of as many rules": [
    () =>
      many((at) => rule(at, { subsets: [{ name: `s${at}` }] })) +
      many((at) => istio("VirtualService", `v${at}`, { hosts: [`v${at}.test`], ...route("cart", `s${at}`) })),
    0,
  ],
  "VirtualServices that lead nowhere beside as many wildcards": [
    () =>
      many((at) => istio("VirtualService", `v${at}`, { hosts: [`v${at}.test`], ...route(`x${at}.test`) })) +
      many((at) =>
        istio("ServiceEntry", `e${at}`, {
          hosts: [`*.e${at}.test`],
          ports: [{ number: 80, name: "http", protocol: "HTTP" }],
        }),
      ),
    MANY,
  ],
  "Gateways of one host": [
    () =>
      pod({ name: "edge", ip: "10.0.0.1", labels: { at: "edge" } }) + many((at) => gateway(at, { at: "edge" }, https)),
    MANY,
  ],
  "Gateways of one host that select a pod each": [
    () => pods((at) => ({ at: `${at}` })) + many((at) => gateway(at, { at: `${at}` }, https)),
    0,
  ],
  "Gateways that want one port and select nobody": [
    () => many((at) => gateway(at, { at: `${at}` }, server("TCP"))),
    MANY,
  ],
  "RateLimits that say the same of a pod": [
    () => pods((at) => ({ at: `${at}` })) + many((at) => rateLimit(`l${at}`, { requests: [limit], showLimits: true })),
    6 * MANY,
  ],
  "RateLimits that say the same of a pod each": [
    () =>
      pods((at) => ({ at: `${at}` })) +
      many((at) => rateLimit(`l${at}`, { selector: { matchLabels: { at: `${at}` } }, requests: [limit] })),
    0,
  ],
  "policies that select nobody": [
    () =>
      pods((at) => ({ at: `${at}` })) +
      many((at) => istio("AuthorizationPolicy", `a${at}`, { selector: { matchLabels: { no: `${at}` } }, rules: [{}] })),
    MANY,
  ],
};

test("VirtualServices of the same thousands of hosts are analyzed in no more than a moment, and each told a hundred times", () => {
  const hosts = Array.from({ length: 4000 }, (_, at) => `*.h${at}.test`);
  const [one] = objectsOf(istio("VirtualService", "v", { hosts, ...route("a.test") }));
  assert.equal(one?.kind, "VirtualService");
  const objects = Array.from({ length: 100 }, (_, at) => ({ ...one, metadata: { ...one.metadata, name: `v${at}` } }));
  const found = withinCpuMs(1500, () => analyzeReferences(objects));
  assert.deepEqual([found.length, found.at(-1)?.object?.name], [100 * 100, "v99"]);
});

for (const [what, [manifests, findings]] of Object.entries(cases)) {
  test(`${MANY} ${what} are analyzed in no more than a moment`, () => {
    const objects = objectsOf(service({ name: "cart", ports: { http: 80 } }) + manifests());
    assert.equal(withinCpuMs(1500, () => analyzeReferences(objects)).length, findings);
  });
}
