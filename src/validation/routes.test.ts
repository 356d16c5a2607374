import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import Fastify from "fastify";
import { createReferenceAnalyzer } from "../mesh/analyze.ts";
import { createLog } from "../platform/log.ts";
import { validationRoutes } from "./routes.ts";

const object = {
  apiVersion: "networking.istio.io/v1",
  kind: "VirtualService",
  metadata: { name: "cart", namespace: "shop" },
  spec: { hosts: ["cart"], http: [{ timeout: "soon", route: [{ destination: { host: "cart" } }] }] },
};

test("an AdmissionReview is answered by one, and counted", async (t) => {
  const { post, counted, logged } = await serve(t);
  const answer = await post(reviewText({ object }));
  assert.equal(answer.status, 200);
  const body = (await answer.json()) as Record<string, unknown>;
  assert.deepEqual([body.apiVersion, body.kind], ["admission.k8s.io/v1", "AdmissionReview"]);
  assert.match(JSON.stringify(body.response), /"uid":"u-1","allowed":false.*"field":"spec.http\[0\].timeout"/);
  assert.deepEqual(counted, ["VirtualService denied"]);
  assert.match(logged(), /"level":"warn".*"outcome":"denied".*spec\.http\[0\]\.timeout.*"dryRun":false/);
});

const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
const malformed: readonly [title: string, body: string, status: number, error: RegExp][] = [
  ["no JSON", "{", 400, /^not JSON$/],
  ["an empty body", "", 400, /has no body|not JSON/],
  ["null", "null", 400, /^not an AdmissionReview/],
  ["a review without a request", `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`, 400, /request/],
  ["another version", reviewText({}).replace("k8s.io/v1", "k8s.io/v1beta1"), 400, /got admission.k8s.io\/v1beta1/],
  ["the object itself", JSON.stringify(object), 400, /got networking.istio.io\/v1 VirtualService/],
  ["deep nesting", reviewText({}).replace('"request"', `"x":${deep},"request"`), 400, /^nested deeper/],
  ["more than 4 MiB", " ".repeat(5 * 1024 * 1024), 413, /too large/],
];
for (const [title, body, status, error] of malformed) {
  test(`${title} is answered ${status}, and the next review as ever`, async (t) => {
    const { post } = await serve(t);
    const answer = await post(body);
    assert.equal(answer.status, status);
    assert.match(((await answer.json()) as { error: string }).error, error);
    assert.equal((await post(reviewText({ object }))).status, 200);
  });
}

test("any other content type is answered 415", async (t) => {
  const { post } = await serve(t);
  assert.equal((await post(reviewText({ object }), "application/yaml")).status, 415);
});

test("keys that name prototypes are fields like any other, and change nothing", async (t) => {
  const { post } = await serve(t);
  const hostile = `{"__proto__":{"hosts":["cart"],"polluted":1},"constructor":{"prototype":{"polluted":1}},"hosts":["cart"],"http":[{"redirect":{"uri":"/"}}]}`;
  const answer = await post(reviewText({ object: { ...object, spec: "SPEC" } }).replace('"SPEC"', hostile));
  const { response } = (await answer.json()) as { response: { allowed: boolean; warnings: string[] } };
  assert.equal(response.allowed, true);
  assert.match(response.warnings.join("\n"), /spec\.constructor is not a field/);
  assert.equal(Reflect.get({}, "polluted"), undefined);
});

test("whatever an object holds, the answer is a review that allows it or names the reason", async (t) => {
  const { inject } = await serve(t);
  const kinds = fc.constantFrom(
    "VirtualService",
    "DestinationRule",
    "AuthorizationPolicy",
    "PeerAuthentication",
    "Gateway",
  );
  const keys = fc.constantFrom(
    "hosts",
    "http",
    "route",
    "match",
    "tls",
    "subsets",
    "rules",
    "from",
    "source",
    "host",
    "mtls",
    "mode",
    "weight",
    "selector",
    "x",
  );
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: "medium", withCrossShrink: true },
      fc.constantFrom<unknown>(null, true, -1, 1.5, "", "*", "a\nb", "ISTIO_MUTUAL", "__proto__"),
      fc.array(tie("value"), { maxLength: 3 }),
      fc.dictionary(keys, tie("value"), { maxKeys: 4 }),
    ),
  }));
  await fc.assert(
    fc.asyncProperty(kinds, value, value, async (kind, spec, metadata) => {
      const group = /Policy|Auth/.test(kind) ? "security.istio.io" : "networking.istio.io";
      const request = {
        kind: { group, version: "v1", kind },
        object: { apiVersion: `${group}/v1`, kind, metadata, spec },
      };
      const { response } = await inject(reviewText(request));
      assert.equal(response.uid, "u-1");
      if (!response.allowed) {
        assert.equal(response.status.code, 422, JSON.stringify(response));
        assert.ok(response.status.message.length > 0 && response.status.details.causes.length > 0);
      }
    }),
    { numRuns: 300 },
  );
});

async function serve(t: TestContext) {
  const counted: string[] = [];
  let logged = "";
  const app = Fastify();
  app.register(
    validationRoutes({
      analyze: createReferenceAnalyzer([]),
      log: createLog("info", { write: (line: string) => (logged += line) }),
      metrics: { validated: (kind, outcome) => counted.push(`${kind} ${outcome}`) },
    }),
  );
  t.after(() => app.close());
  const url = `${await app.listen({ host: "127.0.0.1", port: 0 })}/validate`;
  const post = (body: string, type = "application/json") =>
    fetch(url, { method: "POST", body, headers: { "content-type": type } });
  const inject = async (payload: string) => {
    const headers = { "content-type": "application/json" };
    const answer = await app.inject({ method: "POST", url: "/validate", payload, headers });
    return JSON.parse(answer.body);
  };
  return { post, inject, counted, logged: () => logged };
}

function reviewText(request: Record<string, unknown>): string {
  const kind = { group: "networking.istio.io", version: "v1", kind: "VirtualService" };
  const defaults = { uid: "u-1", kind, operation: "CREATE", namespace: "shop", name: "cart" };
  const review = { apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", request: { ...defaults, ...request } };
  return JSON.stringify(review);
}
