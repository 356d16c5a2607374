import assert from "node:assert/strict";
import { test } from "node:test";
import { sharedDeps, sotwDriver, summary } from "../../test/support/stream-driver.ts";
import { textSet, textSets } from "../../test/support/xds-messages.ts";
import { TrysailError } from "../platform/errors.ts";
import { TYPE_URL } from "./resource-set.ts";

const BASE = {
  cluster: { a: "1", b: "1" },
  endpoint: { a: "1", b: "1" },
  listener: { l: "1" },
  route: { r: "1", s: "1" },
};

/** A stream whose proxy has everything of `sets` and has accepted it. */
function settled(sets: Parameters<typeof textSets>[0] = BASE) {
  const driver = sotwDriver(textSets(sets));
  const names = { cluster: [], endpoint: ["a", "b"], listener: [], route: ["r"] };
  const last = new Map<string, { nonce: string; version: string }>();
  const take = () => {
    const responses = driver.responses();
    for (const { typeUrl, nonce, version } of responses) last.set(typeUrl, { nonce, version });
    return responses;
  };
  const ack = (type: keyof typeof names, error?: string, resourceNames: string[] = names[type]) => {
    const { nonce = "", version = "" } = last.get(TYPE_URL[type]) ?? {};
    const answer = { typeUrl: TYPE_URL[type], resourceNames, responseNonce: nonce, versionInfo: version };
    return driver.request({ ...answer, ...(error !== undefined && { errorDetail: { message: error } }) });
  };
  for (const type of ["cluster", "endpoint", "listener", "route"] as const) {
    driver.request({ typeUrl: TYPE_URL[type], resourceNames: names[type] });
    take();
    ack(type);
  }
  assert.deepEqual(take(), []);
  return {
    ...driver,
    take,
    ack,
    change: (changed: typeof sets) => driver.stream.change(textSets({ ...sets, ...changed })),
  };
}

test("a first request is answered with what it asks for, and the version of the whole", () => {
  const sets = textSets(BASE);
  const { request, responses } = sotwDriver(sets);
  request({ typeUrl: TYPE_URL.cluster });
  const [response] = responses();
  assert.deepEqual(response?.resources, ["a=1", "b=1"]);
  assert.equal(response?.version, sets.get(TYPE_URL.cluster)?.version);
  assert.deepEqual(responses(), []);
});

test("an empty type is answered empty; one that is not ready is answered once it is", () => {
  const { stream, request, responses } = sotwDriver(textSets({ cluster: {} }));
  request({ typeUrl: TYPE_URL.cluster });
  request({ typeUrl: TYPE_URL.secret, resourceNames: ["default"] });
  assert.deepEqual(summary(responses()), ["cluster:"]);
  stream.change(textSets({ cluster: {}, secret: { default: "k", ROOTCA: "c" } }));
  assert.deepEqual(summary(responses()), ["secret: default=k"]);
});

test("a type that is not served here is ignored", () => {
  const { request, responses } = sotwDriver(textSets(BASE));
  assert.equal(
    request({ typeUrl: "type.googleapis.com/envoy.service.runtime.v3.Runtime", resourceNames: ["x"] }),
    null,
  );
  assert.equal(request({ typeUrl: "constructor" }), null);
  assert.deepEqual(responses(), []);
});

test("clusters and listeners come whole; of the others, only what changed", () => {
  const { change, take } = settled();
  change({ listener: { l: "1", m: "1" }, endpoint: { a: "2", b: "1" } });
  assert.deepEqual(summary(take()), ["endpoint: a=2", "listener: l=1 m=1"]);
});

test("an acceptance names the version, and is not answered", () => {
  const { change, take, ack, stream } = settled();
  change({ listener: { l: "2" } });
  const [response] = take();
  assert.deepEqual(ack("listener"), { kind: "acked", typeUrl: TYPE_URL.listener, version: response?.version });
  assert.deepEqual(take(), []);
  assert.equal(stream.settled, true);
});

test("a rejection is told on, is not answered, and keeps the version accepted before; the next change is sent", () => {
  const { change, take, ack, stream } = settled();
  const accepted = stream.types.find(({ typeUrl }) => typeUrl === TYPE_URL.listener)?.ackedVersion;
  change({ listener: { l: "bad" } });
  const [response] = take();
  const verdict = { kind: "rejected", typeUrl: TYPE_URL.listener, version: response?.version, message: "no" };
  assert.deepEqual(ack("listener", "no"), verdict);
  assert.deepEqual(take(), []);
  const listener = stream.types.find(({ typeUrl }) => typeUrl === TYPE_URL.listener);
  assert.deepEqual([listener?.ackedVersion, listener?.rejection], [accepted, "no"]);
  change({ listener: { l: "1" } });
  assert.deepEqual(summary(take()), ["listener: l=1"]);
  assert.equal(ack("listener")?.kind, "acked");
  assert.equal(listener?.rejection, null);
});

test("while a response is unanswered, changes are merged into the next", () => {
  const { change, take, ack } = settled();
  change({ endpoint: { a: "2", b: "1" } });
  assert.deepEqual(summary(take()), ["endpoint: a=2"]);
  change({ endpoint: { a: "3", b: "1" } });
  change({ endpoint: { a: "4", b: "2" } });
  assert.deepEqual(take(), []);
  ack("endpoint");
  assert.deepEqual(summary(take()), ["endpoint: a=4 b=2"]);
});

test("a stale nonce neither accepts nor rejects", () => {
  const { change, take, ack, request } = settled();
  change({ route: { r: "2", s: "1" } });
  take();
  assert.equal(request({ typeUrl: TYPE_URL.route, resourceNames: ["r"], responseNonce: "older" }), null);
  change({ route: { r: "3", s: "1" } });
  assert.deepEqual(take(), [], "the response is still unanswered");
  ack("route");
  assert.deepEqual(summary(take()), ["route: r=3"]);
});

test("names asked for in addition are answered alone, also where they come with the acceptance", () => {
  const { take, ack, change } = settled();
  ack("route", undefined, ["r", "s"]);
  assert.deepEqual(summary(take()), ["route: s=1"]);
  ack("route", undefined, ["r", "s"]);
  change({ route: { r: "2", s: "2" } });
  assert.deepEqual(summary(take()), ["route: r=2 s=2"]);
  ack("route", undefined, ["s"]);
  change({ route: { r: "3", s: "2" } });
  assert.deepEqual(take(), [], "r is wanted no more");
});

test("a name that does not exist is answered with nothing, and with itself once it does", () => {
  const { take, ack, change } = settled();
  ack("endpoint", undefined, ["a", "b", "new"]);
  assert.deepEqual(summary(take()), ["endpoint:"]);
  ack("endpoint", undefined, ["a", "b", "new"]);
  change({ endpoint: { a: "1", b: "1", new: "1" } });
  assert.deepEqual(summary(take()), ["endpoint: new=1"]);
});

test("the endpoints of a changed cluster are sent again though they are as they were", () => {
  const { change, take } = settled();
  change({ cluster: { a: "2", b: "1" } });
  assert.deepEqual(summary(take()), ["cluster: a=2 b=1", "endpoint: a=1"]);
});

test("endpoints asked for again with the last nonce, after clusters were sent, are sent again", () => {
  const { change, take, ack } = settled();
  ack("endpoint");
  assert.deepEqual(take(), [], "nothing happened to the clusters");
  change({ cluster: { a: "1", b: "1", named_otherwise: "1" } });
  assert.deepEqual(summary(take()), ["cluster: a=1 b=1 named_otherwise=1"]);
  ack("endpoint");
  assert.deepEqual(summary(take()), ["endpoint: a=1 b=1"]);
});

test("a change goes out as clusters, endpoints, listeners, routes, and what is gone goes last", () => {
  const { stream, take, ack } = settled();
  stream.change(
    textSets({ cluster: { b: "1", c: "1" }, endpoint: { b: "1", c: "1" }, listener: { l: "2" }, route: { r: "2" } }),
  );
  assert.deepEqual(
    summary(take()),
    ["cluster: a=1 b=1 c=1"],
    "both old and new clusters; the rest waits for the answer",
  );
  ack("endpoint", undefined, ["a", "b", "c"]);
  assert.deepEqual(summary(take()), ["endpoint: c=1"]);
  ack("cluster");
  assert.deepEqual(summary(take()), ["listener: l=2", "route: r=2"]);
  ack("listener");
  assert.deepEqual(take(), [], "the routes are not accepted yet");
  ack("route");
  assert.deepEqual(summary(take()), ["cluster: b=1 c=1"]);
});

test("clusters that a rejected route may use are kept until routes are accepted again", () => {
  const { stream, take, ack, change } = settled();
  change({ cluster: { b: "1" }, endpoint: { b: "1" }, route: { r: "bad", s: "1" } });
  assert.deepEqual(summary(take()), ["route: r=bad"]);
  ack("route", "no");
  assert.deepEqual(take(), []);
  stream.change(textSets({ ...BASE, cluster: { b: "1" }, endpoint: { b: "1" }, route: { r: "3" } }));
  assert.deepEqual(summary(take()), ["route: r=3"]);
  ack("route");
  assert.deepEqual(summary(take()), ["cluster: b=1"]);
});

test("a new listener that stays refused keeps no cluster from going", () => {
  const { take, ack, change } = settled();
  change({ listener: { l: "1", new: "1" } });
  assert.deepEqual(summary(take()), ["listener: l=1 new=1"]);
  ack("listener", "Error adding/updating listener(s) new: cannot bind");
  change({ listener: { l: "1", new: "1" }, cluster: { b: "1" }, endpoint: { b: "1" } });
  assert.deepEqual(summary(take()), ["cluster: b=1"]);
});

test("a hundred proxies that ask for the same share their bytes", () => {
  const deps = sharedDeps();
  const resources = textSets(BASE);
  const streams = Array.from({ length: 100 }, () => sotwDriver(resources, deps));
  const bytes = new Set<Uint8Array | undefined>();
  for (const [i, { stream, request }] of streams.entries()) {
    request({ typeUrl: TYPE_URL.endpoint, resourceNames: i % 2 ? ["a", "b", `${i}`] : ["b", "a"] });
    bytes.add(stream.next()?.bytes);
  }
  assert.equal(bytes.size, 1);
});

test("what a stream has sent once it sends again under another nonce", () => {
  const { stream, request } = sotwDriver(textSets(BASE));
  request({ typeUrl: TYPE_URL.endpoint, resourceNames: ["a", "b"] });
  const first = stream.next();
  request({ typeUrl: TYPE_URL.endpoint, resourceNames: [], responseNonce: first?.nonce ?? "" });
  request({ typeUrl: TYPE_URL.endpoint, resourceNames: ["a", "b"], responseNonce: first?.nonce ?? "" });
  const second = stream.next();
  assert.ok(first && second);
  assert.notEqual(second.nonce, first.nonce);
});

test("more names than the limit end the stream", () => {
  const { request } = sotwDriver(textSets(BASE));
  const resourceNames = Array.from({ length: 51 }, (_, i) => `${i}`);
  assert.throws(
    () => request({ typeUrl: TYPE_URL.endpoint, resourceNames }),
    (error) => error instanceof TrysailError && error.code === "resource-exhausted",
  );
});

test("a type that is gone altogether is taken for not ready: the proxy keeps what it has", () => {
  const { stream, take } = settled();
  stream.change(new Map([[TYPE_URL.listener, textSet(TYPE_URL.listener, { l: "2" })]]));
  assert.deepEqual(summary(take()), ["listener: l=2"]);
});
