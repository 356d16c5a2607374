import assert from "node:assert/strict";
import { test } from "node:test";
import { planMetrics } from "./metrics.ts";
import type { AppMetrics } from "./pod-contract.ts";

const annotated = (fields: Record<string, string>) =>
  Object.fromEntries(Object.entries(fields).map(([name, value]) => [`prometheus.io/${name}`, value]));
const merged = annotated({ scrape: "true", port: "15020", path: "/stats/prometheus" });

const rows: [title: string, fields: Record<string, string>, annotations: object, app: AppMetrics | undefined][] = [
  ["a pod that says nothing has its proxy's scraped", {}, merged, undefined],
  [
    "Istio's defaults stand for what is not said",
    { scrape: "true" },
    merged,
    { port: 80, path: "/metrics", scheme: "http" },
  ],
  [
    "all four count",
    { scrape: "true", port: "8443", path: "stats?all=1", scheme: "https" },
    { ...merged, "prometheus.io/scheme": "http" },
    { port: 8443, path: "/stats?all=1", scheme: "https" },
  ],
  ["a pod that is not scraped stays so", { scrape: "false", port: "8080" }, {}, undefined],
  ["however it says so", { scrape: "False", port: "8080" }, {}, undefined],
  ["one that only names a port is scraped", { port: "8080" }, merged, { port: 8080, path: "/metrics", scheme: "http" }],
  [
    "and so is one whose wish is no plain no",
    { scrape: "True", path: "/m" },
    merged,
    { port: 80, path: "/m", scheme: "http" },
  ],
  ["what else Prometheus is told says nothing of the app's metrics", { probe: "true" }, merged, undefined],
  ["a pod of before stays as it is", { scrape: "true", port: "15020" }, {}, undefined],
  ["a pod that names the proxy's own port too", { scrape: "true", port: "15090" }, {}, undefined],
];
for (const [title, fields, annotations, app] of rows) {
  test(title, () => assert.deepEqual(planMetrics(annotated(fields)), { annotations, app, warnings: [] }));
}

for (const [name, value] of [
  ["port", "http"],
  ["port", "0"],
  ["port", "65536"],
  ["path", "/a b"],
  ["path", "/a\r\nHost: b"],
  ["scheme", "ftp"],
] as const) {
  test(`${name} ${JSON.stringify(value)} is told, and nothing changes`, () => {
    const { annotations, app, warnings } = planMetrics(annotated({ scrape: "true", [name]: value }));
    assert.deepEqual([annotations, app, warnings.length], [{}, undefined, 1]);
    assert.match(warnings[0] ?? "", new RegExp(`^annotation prometheus\\.io/${name} `));
  });
}
