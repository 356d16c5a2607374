import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import jsonPatch from "fast-json-patch";
import Fastify from "fastify";
import type { Namespace } from "../mesh/kubernetes/core.ts";
import { createLog } from "../platform/log.ts";
import { defaultInjectionConfig } from "./injection-config.ts";
import { admissionRoutes, type DecisionRecord } from "./routes.ts";

const pod = { metadata: { name: "web", namespace: "shop" }, spec: { containers: [{ name: "app" }] } };

test("a pod in an enabled namespace is answered with a patch that injects it", async (t) => {
  const { review, records } = await serve(t);
  const { status, body } = await review({ object: pod });
  assert.equal(status, 200);
  const { patch, ...rest } = body.response;
  assert.deepEqual(
    { ...body, response: rest },
    {
      apiVersion: "admission.k8s.io/v1",
      kind: "AdmissionReview",
      response: { uid: "u-1", allowed: true, patchType: "JSONPatch" },
    },
  );
  const operations = JSON.parse(Buffer.from(patch, "base64").toString());
  const { newDocument } = jsonPatch.applyPatch(structuredClone(pod), operations, true);
  const names = "initContainers" in newDocument.spec ? JSON.stringify(newDocument.spec.initContainers) : "";
  assert.match(names, /istio-proxy/);
  assert.equal(records[0]?.outcome, "injected");
});

test("reviews that come at once are answered each by its own, a bad one among them by its error", async (t) => {
  const { review, post, records } = await serve(t);
  const uids = Array.from({ length: 20 }, (_, index) => `u-${index}`);
  const asked = uids.map((uid) => review({ uid, object: { ...pod, metadata: { name: uid, namespace: "shop" } } }));
  const bad = post("{");
  const answers = await Promise.all(asked);
  assert.deepEqual(
    answers.map(({ body }) => [body.response.uid, body.response.allowed]),
    uids.map((uid) => [uid, true]),
  );
  assert.equal((await bad).status, 400);
  assert.deepEqual(records.map((record) => record.pod).toSorted(), uids.toSorted());
});

test("what has no effect is warned about, once each and cut short", async (t) => {
  const { review } = await serve(t);
  const long = `sidecar.istio.io/${"x".repeat(300)}`;
  const annotations = { "sidecar.istio.io/agentLogLevel": "debug", [long]: "" };
  const { body } = await review({ object: { ...pod, metadata: { ...pod.metadata, annotations } } });
  assert.equal(body.response.allowed, true);
  const config = { "proxy.istio.io/config": '"a\\r\\nb\\u202e": 1' };
  const odd = await review({ object: { ...pod, metadata: { ...pod.metadata, annotations: config } } });
  assert.match(
    odd.body.response.warnings[0],
    /^annotation proxy\.istio\.io\/config: ProxyConfig has no field \["a[ -~]*b/,
  );
  assert.doesNotMatch(odd.body.response.warnings[0], /[\p{Cc}\p{Cf}]/u);
  const [first, second, ...more] = body.response.warnings;
  assert.equal(
    first,
    "annotation sidecar.istio.io/agentLogLevel has no effect: there is no agent whose log it could be",
  );
  assert.equal(second.length, 250);
  assert.deepEqual(more, []);
});

test("a pod that is not injected is allowed, with the reason", async (t) => {
  const { review, records } = await serve(t);
  const { status, body } = await review({ namespace: "unlabelled", object: pod, dryRun: true });
  assert.equal(status, 200);
  assert.deepEqual(body.response, { uid: "u-1", allowed: true, auditAnnotations: { "skip-reason": "not-selected" } });
  const [record] = records;
  assert.equal(record?.outcome, "not-selected");
  assert.equal(record?.namespace, "unlabelled");
  assert.equal(record?.pod, "web");
  assert.equal(record?.dryRun, true);
});

test("a pod that asks for a sidecar and gets none is told why", async (t) => {
  const { review } = await serve(t);
  const asking = { ...pod, metadata: { ...pod.metadata, labels: { "sidecar.istio.io/inject": "true" } } };
  const object = { ...asking, spec: { ...pod.spec, hostNetwork: true } };
  const { body } = await review({ namespace: "shop", object });
  assert.deepEqual(body.response.warnings, ["The pod uses the node's network (spec.hostNetwork)."]);
});

test("asked by a tag's webhook, it injects pods of that tag and of no other", async (t) => {
  const { url, records } = await serve(t, (name) => ({
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name, namespace: "", labels: { "istio.io/rev": name }, annotations: {} },
  }));
  const ask = (path: string, namespace: string) =>
    fetch(`${url}${path}`, {
      method: "POST",
      body: reviewText({ namespace, object: pod }),
      headers: { "content-type": "application/json" },
    });
  for (const [path, namespace] of [
    ["/tag/prod", "prod"],
    ["/tag/prod", "test"],
    ["", "prod"],
  ] as const) {
    assert.equal((await ask(path, namespace)).status, 200);
  }
  assert.deepEqual(
    records.map(({ outcome }) => outcome),
    ["injected", "other-revision", "other-revision"],
  );
});

const denied: readonly [title: string, request: Record<string, unknown>, message: RegExp][] = [
  ["no object", {}, /not a valid Pod: document must be object/],
  ["a null object", { object: null }, /not a valid Pod/],
  ["a list for a pod", { object: [] }, /not a valid Pod/],
  ["no containers", { object: { spec: { containers: [] } } }, /not a valid Pod: spec.containers/],
  ["a container without a name", { object: { spec: { containers: [{}] } } }, /spec.containers.0/],
  ["labels that are no texts", { object: { ...pod, metadata: { labels: { a: 1 } } } }, /metadata.labels/],
  [
    "an annotation that cannot be read",
    { object: { ...pod, metadata: { annotations: { "traffic.sidecar.istio.io/excludeInboundPorts": "ssh" } } } },
    /annotation traffic.sidecar.istio.io\/excludeInboundPorts: "ssh" is not a port/,
  ],
  ["another kind", { kind: { group: "apps", version: "v1", kind: "Deployment" }, object: {} }, /not Deployment/],
];
for (const [title, request, message] of denied) {
  test(`${title} is denied, with the reason`, async (t) => {
    const { review } = await serve(t);
    const { status, body } = await review(request);
    assert.equal(status, 200);
    assert.equal(body.response.uid, "u-1");
    assert.equal(body.response.allowed, false);
    assert.equal(body.response.status.code, 400);
    assert.match(body.response.status.message, message);
    assert.equal(body.response.patch, undefined);
  });
}

const ignored = [
  { operation: "UPDATE", object: pod },
  { operation: "DELETE" },
  { subResource: "eviction", object: {} },
];
for (const request of ignored) {
  test(`${request.operation ?? request.subResource} is none of its business`, async (t) => {
    const { review, records } = await serve(t);
    assert.deepEqual((await review(request)).body.response, { uid: "u-1", allowed: true });
    assert.equal(records[0]?.outcome, "ignored");
  });
}

const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
const v1beta1 = { apiVersion: "admission.k8s.io/v1beta1", kind: "AdmissionReview", request: { uid: "u-1" } };
const malformed: readonly [title: string, body: string, error: RegExp][] = [
  ["no JSON", "{", /^not JSON$/],
  ["an empty body", "", /has no body|not JSON/],
  ["bytes of no text", "\u0000\u0001", /^not JSON$/],
  ["a number", "1", /^not an AdmissionReview/],
  ["null", "null", /^not an AdmissionReview/],
  ["a review without a request", JSON.stringify({ ...v1beta1, apiVersion: "admission.k8s.io/v1" }), /request/],
  [
    "another version",
    JSON.stringify(v1beta1),
    /expected admission.k8s.io\/v1 AdmissionReview, got admission.k8s.io\/v1beta1/,
  ],
  ["a Pod", JSON.stringify({ apiVersion: "v1", kind: "Pod" }), /got v1 Pod/],
  ["deep nesting", deep, /^nested deeper than 64 levels$/],
  ["deep nesting within a pod", reviewText({}).replace('"request"', `"x":${deep},"request"`), /^nested deeper/],
];
for (const [title, body, error] of malformed) {
  test(`${title} is answered 400, and the next review as ever`, async (t) => {
    const { post, review } = await serve(t);
    const response = await post(body);
    assert.equal(response.status, 400);
    assert.match((await json(response)).error, error);
    assert.equal((await review({ object: pod })).body.response.allowed, true);
  });
}

test("brackets within texts are no nesting", async (t) => {
  const { review } = await serve(t);
  const annotations = { note: `\\"${"[{".repeat(500)}` };
  const { body } = await review({ object: { ...pod, metadata: { annotations } } });
  assert.equal(body.response.allowed, true);
});

test("3 MiB pass and what is far beyond is answered 413", async (t) => {
  const { review, post } = await serve(t);
  const large = (bytes: number) => ({ object: { ...pod, metadata: { annotations: { large: "x".repeat(bytes) } } } });
  assert.equal((await review(large(3 * 1024 * 1024))).body.response.allowed, true);
  assert.equal((await post(reviewText(large(4 * 1024 * 1024)))).status, 413);
});

test("any other content type is answered 415, any other method 404", async (t) => {
  const { url, post } = await serve(t);
  assert.equal((await post(reviewText({ object: pod }), "application/yaml")).status, 415);
  assert.equal((await post(reviewText({ object: pod }), "text/plain")).status, 415);
  assert.equal((await fetch(url)).status, 404);
});

test("keys that name prototypes change nothing", async (t) => {
  const { post, review } = await serve(t);
  const hostile = `{"__proto__":{"hostNetwork":true,"polluted":1},"constructor":{"prototype":{"polluted":1}},"containers":[{"name":"app"}]}`;
  const text = reviewText({ object: { metadata: { name: "web" }, spec: "SPEC" } }).replace('"SPEC"', hostile);
  const { response } = await json(await post(text));
  assert.equal(response.allowed, true);
  assert.ok(response.patch, "hostNetwork is not the pod's own");
  assert.equal(Reflect.get({}, "polluted"), undefined);
  assert.equal((await review({ object: pod })).body.response.allowed, true);
});

test("a failure of our own is denied without its cause, which the log has", async (t) => {
  const { review, records } = await serve(t, () => {
    throw new Error("secret cause");
  });
  const { body } = await review({ object: pod });
  assert.equal(body.response.allowed, false);
  assert.equal(body.response.status.code, 500);
  assert.doesNotMatch(JSON.stringify(body), /secret cause/);
  assert.equal(records[0]?.message, "secret cause");
});

async function serve(t: TestContext, namespaceOf: (name: string) => Namespace | undefined = shopIsEnabled) {
  const records: DecisionRecord[] = [];
  const app = Fastify();
  app.register(
    admissionRoutes({
      namespaceOf,
      config: defaultInjectionConfig,
      log: createLog("silent"),
      onDecision: (record) => records.push(record),
    }),
  );
  t.after(() => app.close());
  const url = `${await app.listen({ host: "127.0.0.1", port: 0 })}/inject`;
  const post = (body: string, type = "application/json") =>
    fetch(url, { method: "POST", body, headers: { "content-type": type } });
  const review = async (request: Record<string, unknown>) => {
    const response = await post(reviewText(request));
    return { status: response.status, body: await json(response) };
  };
  return { url, post, review, records };
}

function reviewText(request: Record<string, unknown>): string {
  const defaults = {
    uid: "u-1",
    kind: { group: "", version: "v1", kind: "Pod" },
    operation: "CREATE",
    namespace: "shop",
  };
  const review = { apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", request: { ...defaults, ...request } };
  return JSON.stringify(review);
}

interface Answer {
  readonly error: string;
  readonly response: {
    readonly uid: string;
    readonly allowed: boolean;
    readonly patch: string;
    readonly warnings: readonly [string, string, ...string[]];
    readonly status: { readonly code: number; readonly message: string };
  };
}

async function json(response: Response): Promise<Answer> {
  return JSON.parse(await response.text());
}

function shopIsEnabled(name: string): Namespace | undefined {
  if (name !== "shop") return undefined;
  const metadata = { name, namespace: "", labels: { "istio-injection": "enabled" }, annotations: {} };
  return { apiVersion: "v1", kind: "Namespace", metadata };
}
