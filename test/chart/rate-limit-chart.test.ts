import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { parseObject } from "../../src/mesh/parse-object.ts";
import { rateLimitHost } from "../../src/mesh/trysail/rate-limit.ts";
import { helm, helmMissing, RATE_LIMIT_CHART } from "../support/helm.ts";
import { assertValuesDocumented } from "./documented-values.ts";
import { only, renderRelease } from "./rendered.ts";

const skip = helmMissing;
const REDIS = { "redis.url": "redis://redis.example.com" };
const render = (values: object = REDIS, namespace = "trysail-ratelimit") =>
  renderRelease("trysail-ratelimit", RATE_LIMIT_CHART, namespace, values);

test("Helm finds nothing to complain about in the rate limit service's chart", { skip }, async () => {
  const said = await helm("lint", "--strict", "--set=redis.url=redis://a", "--namespace=a", RATE_LIMIT_CHART);
  assert.match(said, /1 chart\(s\) linted, 0 chart\(s\) failed/);
});

test("the rate limit service's README lists every value with its default, and no others", () =>
  assertValuesDocumented(RATE_LIMIT_CHART));

test("RateLimits that name no service find the one of the README's command", { skip }, async () => {
  const { metadata, spec } = only(await render(), "Service");
  const { host, port } = rateLimitHost({}, "cluster.local");
  assert.equal(host, `${metadata.name}.${metadata.namespace}.svc.cluster.local`);
  assert.deepEqual(spec.ports, [{ name: "grpc", port, targetPort: "grpc" }]);
});

test("its pods are of the mesh, take mutual TLS only, and read RateLimits alone", { skip }, async () => {
  const objects = await render({ ...REDIS, revision: "canary" });
  const { metadata, spec } = only(objects, "Deployment").spec.template;
  assert.equal(metadata.labels["sidecar.istio.io/inject"], "true");
  assert.equal(metadata.labels["istio.io/rev"], "canary");
  assert.deepEqual(spec.containers[0].env, [{ name: "REDIS_URL", value: "redis://redis.example.com" }]);
  assert.equal(spec.containers[0].securityContext.readOnlyRootFilesystem, true);
  const authentication = only(objects, "PeerAuthentication");
  assert.deepEqual(parseObject(authentication).findings, []);
  assert.deepEqual(authentication.spec.mtls, { mode: "STRICT" });
  const { matchLabels } = only(objects, "Deployment").spec.selector;
  assert.deepEqual(authentication.spec.selector.matchLabels, matchLabels);
  assert.deepEqual(only(objects, "PodDisruptionBudget").spec.selector.matchLabels, matchLabels);
  assert.deepEqual(only(objects, "Service").spec.selector, matchLabels);
  assert.deepEqual(only(objects, "ClusterRole").rules, [
    { apiGroups: ["trysail.dev"], resources: ["ratelimits"], verbs: ["list", "watch"] },
  ]);
});

test("the URL may come from a Secret, and counts from memory", { skip }, async () => {
  const secret = only(await render({ "redis.secretName": "redis" }), "Deployment").spec.template.spec.containers[0];
  assert.deepEqual(secret.env, [{ name: "REDIS_URL", valueFrom: { secretKeyRef: { name: "redis", key: "url" } } }]);
  const memory = only(await render({ inMemory: true, replicas: 1 }), "Deployment").spec.template.spec.containers[0];
  assert.equal(memory.env, undefined);
  assert.ok(memory.args.includes("--in-memory"));
});

test("values that YAML could take for numbers, and labels of the chart's own, keep their meaning", {
  skip,
}, async () => {
  const values = {
    ...{ "redis.secretName": "1", revision: "2", priorityClassName: "3", imagePullSecrets: ["4"] },
    podLabels: { app: "other", tier: "5" },
    podAnnotations: { "prometheus.io/scrape": "false" },
  };
  const objects = await renderRelease("123", RATE_LIMIT_CHART, "456", values);
  const { selector, template } = only(objects, "Deployment").spec;
  const { labels, annotations } = template.metadata;
  assert.deepEqual(selector.matchLabels, { app: "123" });
  assert.deepEqual([labels.app, labels.tier, labels["istio.io/rev"]], ["123", "5", "2"]);
  assert.equal(annotations["prometheus.io/scrape"], "false");
  const { containers, priorityClassName, imagePullSecrets, serviceAccountName } = template.spec;
  assert.deepEqual(containers[0].env[0].valueFrom, { secretKeyRef: { name: "1", key: "url" } });
  assert.deepEqual([priorityClassName, imagePullSecrets, serviceAccountName], ["3", [{ name: "4" }], "123"]);
  for (const { metadata } of objects) {
    assert.equal(typeof metadata.name, "string");
    assert.ok(metadata.namespace === undefined || metadata.namespace === "456");
  }
});

test("every flag that the chart gives is one of trysail ratelimit's", { skip }, async () => {
  const program = fileURLToPath(new URL("../../src/cli/trysail.ts", import.meta.url));
  const { stdout: help } = await promisify(execFile)(process.execPath, [program, "ratelimit", "--help"]);
  const known = new Set(help.match(/--[a-z-]+/g));
  const objects = await render({ inMemory: true, replicas: 1 });
  const [command, ...flags] = only(objects, "Deployment").spec.template.spec.containers[0].args;
  assert.equal(command, "ratelimit");
  for (const flag of flags) assert.ok(known.has(flag.split("=")[0]), flag);
});

test("values that would not count are refused with the way out", { skip }, async () => {
  const refused: readonly [values: object, words: RegExp, namespace?: string][] = [
    [{}, /where are the counts kept/],
    [{ inMemory: true }, /set replicas to 1/],
    [{ ...REDIS, inMemory: true, replicas: 1 }, /exclude each other/],
    [{ ...REDIS, "redis.secretName": "a" }, /exclude each other/],
    [{ "redis.url": "http://a" }, /redis/],
    [{ ...REDIS, replica: 1 }, /replica/],
    [REDIS, /no part of the mesh/, "trysail-system"],
  ];
  for (const [values, words, namespace] of refused) await assert.rejects(render(values, namespace), words);
});
