import assert from "node:assert/strict";
import { test } from "node:test";
import { parseObject } from "./parse-object.ts";

/** What selects by a label that nothing can have selects nothing: a policy that does so protects nobody. */

const hosts = { hosts: ["cart.test"] };
const port = { number: 80, name: "http", protocol: "HTTP" };
const routed = { route: [{ destination: { host: "cart" } }] };

/** Each kind's labels, and where they are. */
const places: Readonly<Record<string, readonly [apiVersion: string, path: string, spec: (labels: object) => object]>> =
  {
    AuthorizationPolicy: [
      "security.istio.io/v1",
      "spec.selector.matchLabels",
      (matchLabels) => ({ selector: { matchLabels }, rules: [{}] }),
    ],
    PeerAuthentication: [
      "security.istio.io/v1",
      "spec.selector.matchLabels",
      (matchLabels) => ({ selector: { matchLabels }, mtls: { mode: "STRICT" } }),
    ],
    ProxyConfig: [
      "networking.istio.io/v1beta1",
      "spec.selector.matchLabels",
      (matchLabels) => ({ selector: { matchLabels } }),
    ],
    Sidecar: [
      "networking.istio.io/v1",
      "spec.workloadSelector.labels",
      (labels) => ({ workloadSelector: { labels }, egress: [{ hosts: ["./*"] }] }),
    ],
    ServiceEntry: [
      "networking.istio.io/v1",
      "spec.workloadSelector.labels",
      (labels) => ({ ...hosts, ports: [port], resolution: "STATIC", workloadSelector: { labels } }),
    ],
    WorkloadEntry: ["networking.istio.io/v1", "spec.labels", (labels) => ({ address: "10.0.0.1", labels })],
    WorkloadGroup: [
      "networking.istio.io/v1",
      "spec.metadata.labels",
      (labels) => ({ metadata: { labels }, template: {} }),
    ],
    DestinationRule: [
      "networking.istio.io/v1",
      "spec.subsets[0].labels",
      (labels) => ({ host: "cart", subsets: [{ name: "v1", labels }] }),
    ],
    VirtualService: [
      "networking.istio.io/v1",
      "spec.http[0].match[0].sourceLabels",
      (sourceLabels) => ({ ...hosts, http: [{ match: [{ sourceLabels }], ...routed }] }),
    ],
  };

const wrong: Readonly<Record<string, readonly [key: string, value: string, step: string]>> = {
  "a wildcard for a value": ["app", "cart*", ".app"],
  "a wildcard for a key": ["*", "cart", '["*"]'],
  "an empty key": ["", "cart", '[""]'],
  "a key with a blank": ["a b", "cart", '["a b"]'],
  "a prefix without a name": ["example.com/", "cart", '["example.com/"]'],
  "a value of 64 characters": ["app", "a".repeat(64), ".app"],
  "a value with a slash": ["app", "a/b", ".app"],
};

const right = { app: "cart", "app.kubernetes.io/name": "Cart_1.0-rc", "example.com/empty": "", A: "a".repeat(63) };

for (const [kind, [apiVersion, path, spec]] of Object.entries(places)) {
  const findings = (labels: object) =>
    parseObject({ apiVersion, kind, metadata: { name: "it", namespace: "shop" }, spec: spec(labels) }).findings;

  for (const [what, [key, value, step]] of Object.entries(wrong)) {
    test(`a ${kind} with ${what} in its labels is refused`, () => {
      const found = findings({ [key]: value }).map(({ severity, field }) => `${severity} ${field}`);
      assert.deepEqual(found, [`error ${path}${step}`]);
    });
  }
  test(`a ${kind} may have any label that Kubernetes takes`, () => assert.deepEqual(findings(right), []));
}

test("who writes a wildcard into a selector is told that labels know none", () => {
  const metadata = { name: "it", namespace: "shop" };
  const spec = { selector: { matchLabels: { app: "cart*" } } };
  const { findings } = parseObject({ apiVersion: "security.istio.io/v1", kind: "AuthorizationPolicy", metadata, spec });
  assert.match(findings[0]?.message ?? "", /has a wildcard, which labels do not know/);
});
