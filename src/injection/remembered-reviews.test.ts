import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import Fastify from "fastify";
import { apiServerReview, reviewText } from "../../test/support/api-server-review.ts";
import type { Namespace } from "../mesh/kubernetes/core.ts";
import { createLog } from "../platform/log.ts";
import { defaultInjectionConfig, type InjectionConfig } from "./injection-config.ts";
import { type AdmissionDeps, admissionRoutes, type DecisionRecord } from "./routes.ts";

/** What is asked but once is not kept, so the third of a ReplicaSet's pods is the first that is answered from memory. */
const PODS_BEFORE = 2;

test("the pods of one ReplicaSet are answered from memory, each under its uid, with the patch that each would get", async (t) => {
  const webhook = await serve(t);
  const fresh = await serve(t);
  const { response: expected } = await fresh.ask(reviewText({ number: 1 }));
  assert.ok(expected.patch);
  for (let number = 1; number <= 5; number++) {
    const { response, reused } = await webhook.ask(reviewText({ number }));
    assert.equal(reused, number > PODS_BEFORE, `pod ${number}`);
    assert.deepEqual(response, { ...expected, uid: apiServerReview({ number }).request.uid });
  }
});

test("whatever changes about a review, the answer is the one that it would get with nothing in memory", async (t) => {
  const webhook = await serve(t);
  await remember(webhook);
  const review = apiServerReview({ number: 9 });
  const fresh = await serve(t);
  let changes = 0;
  for (const changed of withEachLeafChanged(review)) {
    const text = JSON.stringify(changed);
    const [answer, expected] = [await webhook.ask(text), await fresh.ask(text)];
    assert.deepEqual([answer.status, answer.response], [expected.status, expected.response], text);
    changes++;
  }
  assert.ok(changes > 60, `${changes} leaves`);
});

const surroundings: readonly [title: string, change: (deps: Changeable) => void][] = [
  ["the settings", (deps) => (deps.config = { ...deps.config, proxyImage: "example.com/envoy:2" })],
  ["the namespace", (deps) => (deps.namespace = namespaceWith({ "istio-injection": "disabled" }))],
  ["a ProxyConfig", (deps) => (deps.proxyConfigs = [PROXY_CONFIG])],
];
for (const [title, change] of surroundings) {
  test(`another answer is given as soon as ${title} changed`, async (t) => {
    const deps: Changeable = {
      config: defaultInjectionConfig,
      namespace: namespaceWith({ "istio-injection": "enabled" }),
      proxyConfigs: [],
    };
    const webhook = await serve(t, deps);
    const before = await remember(webhook);
    change(deps);
    const after = await webhook.ask(reviewText({ number: 7 }));
    assert.equal(after.reused, false);
    assert.notDeepEqual({ ...after.response, uid: "" }, { ...before.response, uid: "" });
    assert.deepEqual(after.response, (await (await serve(t, deps)).ask(reviewText({ number: 7 }))).response);
  });
}

test("a pod of a namespace that has just moved to another revision is injected, until its labels have been so for a while", async (t) => {
  const moved = namespaceWith({ "istio.io/rev": "canary" });
  const deps: Changeable = { ...shop(), namespace: moved, formerNamespace: shop().namespace };
  const webhook = await serve(t, deps);
  await remember(webhook);
  delete deps.formerNamespace;
  const { reused, response } = await webhook.ask(reviewText({ number: 7 }));
  assert.deepEqual([reused, response.patchType], [false, undefined]);
});

test("each review is logged and told of, with what its own request says", async (t) => {
  const webhook = await serve(t);
  await remember(webhook);
  assert.deepEqual(
    webhook.records.map(({ outcome, namespace, pod, dryRun }) => [outcome, namespace, pod, dryRun]),
    webhook.records.map(() => ["injected", "shop", "reviews-55f4d9c879", false]),
  );
  assert.equal(webhook.records.length, PODS_BEFORE + 1);
  assert.equal(webhook.records.at(-1)?.controller?.name, "reviews-55f4d9c879");
  await webhook.ask(reviewText({ number: 8, dryRun: true }));
  assert.equal(webhook.records.at(-1)?.dryRun, true);
});

test("under a tag, only the answers of that tag are remembered", async (t) => {
  const webhook = await serve(t, { ...shop(), namespace: namespaceWith({ "istio.io/rev": "canary" }) });
  for (let number = 1; number <= 4; number++) await webhook.ask(reviewText({ number }), "/inject/tag/canary");
  const { reused, response } = await webhook.ask(reviewText({ number: 5 }), "/inject/tag/canary");
  assert.deepEqual([reused, response.patchType], [true, "JSONPatch"]);
  const other = await webhook.ask(reviewText({ number: 6 }), "/inject");
  assert.deepEqual([other.reused, other.response.patchType], [false, undefined]);
});

test("a patch that repeats the name of a pod's own volume is for that pod alone", async (t) => {
  const webhook = await serve(t);
  // As the API server does, which mounts the token in the user's own istio-proxy too.
  const asked = (number: number) => {
    const review = apiServerReview({ number });
    const [app] = review.request.object.spec.containers;
    const proxy = { ...app, name: "istio-proxy", image: "auto" };
    const spec = { ...review.request.object.spec, containers: [app, proxy] };
    return JSON.stringify({ ...review, request: { ...review.request, object: { ...review.request.object, spec } } });
  };
  for (let number = 1; number <= 4; number++) {
    const { reused, response } = await webhook.ask(asked(number));
    assert.equal(reused, false);
    assert.match(Buffer.from(response.patch ?? "", "base64").toString(), new RegExp(`kube-api-access-xxxx${number}`));
  }
});

test("a pod that cannot be injected is looked at anew each time", async (t) => {
  const webhook = await serve(t);
  const bad = (number: number) => reviewText({ number }).replace('"50m"', '"much"');
  for (let number = 1; number <= 4; number++) {
    const { reused, response } = await webhook.ask(bad(number));
    assert.deepEqual([reused, response.allowed, response.uid], [false, false, apiServerReview({ number }).request.uid]);
  }
});

interface Changeable {
  config: InjectionConfig;
  namespace: Namespace;
  formerNamespace?: Namespace;
  proxyConfigs: ReturnType<NonNullable<AdmissionDeps["proxyConfigsFor"]>>;
}

const PROXY_CONFIG: Changeable["proxyConfigs"][number] = {
  apiVersion: "networking.istio.io/v1beta1",
  kind: "ProxyConfig",
  metadata: { name: "all", namespace: "shop", labels: {}, annotations: {} },
  spec: { concurrency: 3 },
};

function namespaceWith(labels: Record<string, string>): Namespace {
  return { apiVersion: "v1", kind: "Namespace", metadata: { name: "shop", namespace: "", labels, annotations: {} } };
}

function shop(): Changeable {
  return {
    config: defaultInjectionConfig,
    namespace: namespaceWith({ "istio-injection": "enabled" }),
    proxyConfigs: [],
  };
}

type Webhook = Awaited<ReturnType<typeof serve>>;

/** Asks until the answer is at hand, and gives that one. */
async function remember(webhook: Webhook) {
  for (let number = 1; number <= PODS_BEFORE; number++) await webhook.ask(reviewText({ number }));
  const last = await webhook.ask(reviewText({ number: PODS_BEFORE + 1 }));
  assert.equal(last.reused, true);
  return last;
}

async function serve(t: TestContext, deps: Changeable = shop()) {
  const records: DecisionRecord[] = [];
  const reuses: boolean[] = [];
  const app = Fastify();
  app.register(
    admissionRoutes({
      namespaceOf: (name) => (name === "shop" ? deps.namespace : undefined),
      formerNamespaceOf: (name) => (name === "shop" ? deps.formerNamespace : undefined),
      proxyConfigsFor: () => deps.proxyConfigs,
      get config() {
        return deps.config;
      },
      log: createLog("silent"),
      metrics: { reviewed: ({ reused }) => reuses.push(reused) },
      onDecision: (record) => records.push(record),
    }),
  );
  t.after(() => app.close());
  const ask = async (payload: string, url = "/inject") => {
    const reply = await app.inject({ method: "POST", url, payload, headers: { "content-type": "application/json" } });
    const body: { response?: Answer } = reply.json();
    return { status: reply.statusCode, response: body.response ?? NO_ANSWER, reused: reuses.at(-1) };
  };
  return { ask, records };
}

interface Answer {
  readonly uid: string;
  readonly allowed: boolean;
  readonly patchType?: string;
  readonly patch?: string;
}

const NO_ANSWER: Answer = { uid: "", allowed: false };

/** The same again and again, with another text, number or yes and no in one place. */
function* withEachLeafChanged(value: unknown): Generator<unknown> {
  if (typeof value === "string") yield `${value}x`;
  else if (typeof value === "number") yield value + 1;
  else if (typeof value === "boolean") yield !value;
  else if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) {
      for (const changed of withEachLeafChanged(item)) yield value.with(index, changed);
    }
  } else if (typeof value === "object" && value !== null) {
    for (const [key, item] of Object.entries(value)) {
      for (const changed of withEachLeafChanged(item)) yield { ...value, [key]: changed };
    }
  }
}
