import assert from "node:assert/strict";
import { test } from "node:test";
import { deltaDriver, sharedDeps, summary } from "../../test/support/stream-driver.ts";
import { textResource, textSets } from "../../test/support/xds-messages.ts";
import { TrysailError } from "../platform/errors.ts";
import { TYPE_URL } from "./resource-set.ts";

const BASE = {
  cluster: { a: "1", b: "1" },
  endpoint: { a: "1", b: "1" },
  listener: { l: "1" },
  route: { r: "1", s: "1" },
};
type ShortType = keyof typeof BASE;

function driver(sets: Parameters<typeof textSets>[0] = BASE, deps = sharedDeps()) {
  const it = deltaDriver(textSets(sets), deps);
  const nonces = new Map<string, string>();
  return {
    ...it,
    take() {
      const responses = it.responses();
      for (const { typeUrl, nonce } of responses) nonces.set(typeUrl, nonce);
      return summary(responses);
    },
    ask(type: ShortType | "secret", resourceNamesSubscribe: string[], more: Parameters<typeof it.request>[0] = {}) {
      return it.request({ typeUrl: TYPE_URL[type], resourceNamesSubscribe, ...more });
    },
    ack(type: ShortType, error?: string) {
      const answer = { typeUrl: TYPE_URL[type], responseNonce: nonces.get(TYPE_URL[type]) ?? "" };
      return it.request({ ...answer, ...(error !== undefined && { errorDetail: { message: error } }) });
    },
    change: (changed: typeof sets) => it.stream.change(textSets({ ...sets, ...changed })),
  };
}

/** A stream whose proxy has everything of `BASE` and has accepted it. */
function settled() {
  const it = driver();
  const names = { cluster: [], endpoint: ["a", "b"], listener: [], route: ["r"] };
  for (const type of ["cluster", "endpoint", "listener", "route"] as const) {
    it.ask(type, names[type]);
    it.take();
    it.ack(type);
  }
  assert.deepEqual(it.take(), []);
  return it;
}

const version = (name: string, content: string) => textResource(name, content).version;

test("naming nothing asks for all clusters and listeners, and for no endpoints", () => {
  const { ask, take } = driver();
  ask("cluster", []);
  ask("endpoint", []);
  assert.deepEqual(take(), ["cluster: a=1 b=1"]);
});

test("asking for all of a type that is empty is answered, so that the proxy does not wait", () => {
  const { ask, take } = driver({ cluster: {}, listener: {} });
  ask("cluster", ["*"]);
  assert.deepEqual(take(), ["cluster:"]);
});

test("a change sends what is new or changed, and names what is gone", () => {
  const { change, take, stream } = settled();
  change({ listener: { m: "1" } });
  assert.deepEqual(take(), ["listener: m=1 -l"]);
  assert.equal(stream.settled, false);
});

test("a name that does not exist is said to be removed, so that the proxy does not wait for it", () => {
  const { ask, take, ack, change } = driver();
  ask("endpoint", ["a", "new"]);
  assert.deepEqual(take(), ["endpoint: a=1 -new"]);
  ack("endpoint");
  change({ endpoint: { a: "1", b: "1", new: "1" } });
  assert.deepEqual(take(), ["endpoint: new=1"]);
});

test("a name asked for again is sent again", () => {
  const { ask, take } = settled();
  ask("route", ["r"]);
  assert.deepEqual(take(), ["route: r=1"]);
});

test("a name given up is sent no more, and sent whole when it is asked for again", () => {
  const { ask, take, ack, change } = settled();
  ask("endpoint", [], { resourceNamesUnsubscribe: ["a"] });
  change({ endpoint: { a: "2", b: "2" } });
  assert.deepEqual(take(), ["endpoint: b=2"]);
  ack("endpoint");
  ask("endpoint", ["a"]);
  assert.deepEqual(take(), ["endpoint: a=2"]);
});

test("a name given up under * is sent again, or said to be gone", () => {
  const { ask, take, ack } = driver();
  ask("cluster", ["*", "a", "x"]);
  assert.deepEqual(take(), ["cluster: a=1 b=1 -x"]);
  ack("cluster");
  ask("cluster", [], { resourceNamesUnsubscribe: ["a", "x"] });
  assert.deepEqual(take(), ["cluster: a=1 -x"]);
});

test("giving up * leaves what was asked for by name", () => {
  const { ask, take, ack, change } = driver();
  ask("cluster", ["*", "a"]);
  take();
  ack("cluster");
  ask("cluster", [], { resourceNamesUnsubscribe: ["*"] });
  change({ cluster: { a: "2", b: "2" } });
  assert.deepEqual(take(), ["cluster: a=2"]);
});

test("a proxy that reconnects is sent only what it does not have, and told what is gone", () => {
  const { ask, take, stream } = driver();
  ask("cluster", ["*"], { initialResourceVersions: { a: version("a", "1"), b: "older", gone: "1" } });
  assert.deepEqual(take(), ["cluster: b=1"]);
  ask("endpoint", ["a", "b", "x"], { initialResourceVersions: { a: version("a", "1"), b: "older", other: "1" } });
  assert.deepEqual(take(), ["endpoint: b=1 -x"], "both the new version and the cluster that was sent again");
  stream.release();
});

test("a proxy that reconnects with everything is sent nothing, and counts as having accepted it", () => {
  const { ask, take, stream } = driver();
  ask("cluster", ["*"], { initialResourceVersions: { a: version("a", "1"), b: version("b", "1") } });
  ask("listener", [], { initialResourceVersions: { l: version("l", "1") } });
  assert.deepEqual(take(), []);
  const cluster = stream.types.find(({ typeUrl }) => typeUrl === TYPE_URL.cluster);
  assert.equal(cluster?.ackedVersion, textSets(BASE).get(TYPE_URL.cluster)?.version);
  assert.equal(stream.settled, true);
});

test("what is gone since a proxy last connected is removed after its listeners and routes are up to date", () => {
  const { ask, take, ack } = driver({ ...BASE, cluster: { b: "1" }, route: { r: "2" } });
  ask("cluster", ["*"], { initialResourceVersions: { a: version("a", "1"), b: version("b", "1") } });
  assert.deepEqual(take(), [], "the removal waits");
  ask("listener", ["*"], { initialResourceVersions: { l: version("l", "1") } });
  assert.deepEqual(take(), []);
  ask("route", ["r"], { initialResourceVersions: { r: version("r", "1") } });
  assert.deepEqual(take(), ["route: r=2"]);
  ack("route");
  assert.deepEqual(take(), ["cluster: -a"]);
});

test("a proxy that has no listeners is told of what is gone after a while", () => {
  const { ask, take, stream } = driver();
  ask("cluster", ["*"], { initialResourceVersions: { a: version("a", "1"), b: version("b", "1"), gone: "1" } });
  assert.deepEqual(take(), []);
  stream.release();
  assert.deepEqual(take(), ["cluster: -gone"]);
});

test("a change goes out as clusters, endpoints, listeners, routes, and what is gone goes last", () => {
  const { change, take, ack, ask } = settled();
  change({ cluster: { b: "1", c: "1" }, endpoint: { b: "1", c: "1" }, listener: { l: "2" }, route: { r: "2" } });
  assert.deepEqual(take(), ["cluster: c=1"]);
  ask("endpoint", ["c"]);
  assert.deepEqual(take(), ["endpoint: c=1"]);
  ack("cluster");
  assert.deepEqual(take(), ["listener: l=2", "route: r=2"]);
  ack("endpoint");
  ack("route");
  assert.deepEqual(take(), []);
  ack("listener");
  assert.deepEqual(take(), ["cluster: -a"]);
  assert.deepEqual(take(), [], "endpoints go after the clusters");
  ack("cluster");
  assert.deepEqual(take(), ["endpoint: -a"]);
});

test("what a proxy asks for is answered though it has not answered the clusters", () => {
  const { ask, take } = driver();
  ask("cluster", []);
  assert.deepEqual(take(), ["cluster: a=1 b=1"]);
  ask("listener", []);
  assert.deepEqual(take(), ["listener: l=1"]);
  ask("route", ["r"]);
  assert.deepEqual(take(), ["route: r=1"]);
});

test("a proxy that reconnects and asks for all at once is answered in order, or after a while", () => {
  const { ask, take, stream } = driver();
  ask("cluster", ["*"], { initialResourceVersions: { a: version("a", "1") } });
  assert.deepEqual(take(), ["cluster: b=1"]);
  ask("listener", ["*"]);
  assert.deepEqual(take(), []);
  stream.release();
  assert.deepEqual(take(), ["listener: l=1"]);
});

test("endpoints and secrets do not wait for a change that is under way", () => {
  const { change, take, ask } = settled();
  ask("secret", ["default"]);
  change({ cluster: { a: "2", b: "1" }, listener: { l: "2" } });
  assert.deepEqual(take(), ["cluster: a=2", "endpoint: a=1"]);
  change({ endpoint: { a: "1", b: "2" }, secret: { default: "key" } });
  assert.deepEqual(take(), ["secret: default=key"], "endpoints wait for their own answer only");
});

test("a steady stream of endpoint changes does not hold up listeners", () => {
  const { change, take, ack } = settled();
  const sets = { cluster: { a: "1", b: "1", c: "1" }, listener: { l: "2" } };
  change({ ...sets, endpoint: { a: "2", b: "1" } });
  assert.deepEqual(
    take(),
    ["cluster: a=1 b=1 c=1", "endpoint: a=2"].map((line) => line.replace("a=1 b=1 ", "")),
  );
  change({ ...sets, endpoint: { a: "3", b: "1" } });
  ack("cluster");
  assert.deepEqual(take(), ["listener: l=2"]);
});

test("a rejected resource is not sent again, and holds up no other", () => {
  const { change, take, ack } = settled();
  change({ cluster: { a: "bad", b: "1" } });
  assert.deepEqual(take(), ["cluster: a=bad", "endpoint: a=1"]);
  assert.equal(ack("cluster", "no")?.kind, "rejected");
  assert.deepEqual(take(), []);
  change({ cluster: { a: "bad", b: "2" } });
  assert.deepEqual(take(), ["cluster: b=2"]);
  assert.equal(ack("cluster")?.kind, "acked");
  change({ cluster: { a: "1", b: "2" } });
  assert.deepEqual(take(), ["cluster: a=1"]);
});

test("a stale nonce accepts nothing, but what comes with it holds", () => {
  const { change, take, ask, ack } = settled();
  change({ route: { r: "2", s: "1" } });
  take();
  assert.equal(ask("route", ["s"], { responseNonce: "older" }), null);
  assert.deepEqual(take(), []);
  ack("route");
  assert.deepEqual(take(), ["route: s=1"]);
});

test("a hundred proxies share the bytes of a first answer and of a change", () => {
  const deps = sharedDeps();
  const before = textSets(BASE);
  const after = textSets({ ...BASE, endpoint: { a: "2", b: "1" } });
  const seen = { first: new Set<Uint8Array | undefined>(), change: new Set<Uint8Array | undefined>() };
  for (let i = 0; i < 100; i++) {
    const { stream, request } = deltaDriver(before, deps);
    request({ typeUrl: TYPE_URL.endpoint, resourceNamesSubscribe: ["a"] });
    if (i % 2) request({ typeUrl: TYPE_URL.endpoint, resourceNamesSubscribe: ["b"] });
    else request({ typeUrl: TYPE_URL.endpoint, resourceNamesSubscribe: ["b"], resourceNamesUnsubscribe: ["x"] });
    const first = stream.next();
    seen.first.add(first?.bytes);
    request({ typeUrl: TYPE_URL.endpoint, responseNonce: first?.nonce ?? "" });
    stream.change(after);
    seen.change.add(stream.next()?.bytes);
  }
  assert.deepEqual([seen.first.size, seen.change.size], [1, 1]);
  assert.ok(![...seen.first, ...seen.change].includes(undefined));
});

test("private keys are not kept for other streams", () => {
  const deps = sharedDeps();
  const secrets = textSets({ secret: { default: "key", ROOTCA: "root" } });
  const sent = [1, 2].map(() => {
    const { stream, request } = deltaDriver(secrets, deps);
    request({ typeUrl: TYPE_URL.secret, resourceNamesSubscribe: ["default", "ROOTCA"] });
    return stream.next()?.bytes;
  });
  assert.ok(sent[0] && sent[1]);
  assert.notEqual(sent[0], sent[1]);
});

test("names that add up to more than the limit end the stream", () => {
  const { ask } = driver();
  const names = (from: number) => Array.from({ length: 30 }, (_, i) => `${from + i}`);
  ask("endpoint", names(0));
  assert.throws(
    () => ask("endpoint", names(100)),
    (error) => error instanceof TrysailError && error.code === "resource-exhausted",
  );
});

test("what a proxy has accepted of a resource is its version before, until it accepts the next", () => {
  const it = driver();
  const accepted = (name: string) =>
    it.stream.types.find(({ typeUrl }) => typeUrl === TYPE_URL.cluster)?.acceptedVersion(name);
  it.ask("cluster", ["a"]);
  it.take();
  assert.equal(accepted("a"), null);
  it.ack("cluster");
  assert.equal(accepted("a"), version("a", "1"));
  assert.equal(accepted("b"), null, "it did not ask for it");
  it.change({ cluster: { a: "2", b: "1" } });
  it.take();
  assert.equal(accepted("a"), version("a", "1"), "not answered yet");
  it.ack("cluster", "no");
  assert.equal(accepted("a"), version("a", "1"), "rejected");
  it.change({ cluster: { a: "3", b: "1" } });
  it.take();
  it.ack("cluster");
  assert.equal(accepted("a"), version("a", "3"));
});

test("what a proxy brings from an earlier stream counts as accepted", () => {
  const it = driver();
  it.ask("cluster", ["a"], { initialResourceVersions: { a: version("a", "1") } });
  it.take();
  const cluster = it.stream.types.find(({ typeUrl }) => typeUrl === TYPE_URL.cluster);
  assert.equal(cluster?.acceptedVersion("a"), version("a", "1"));
});

test("what a proxy refuses stays refused when it accepts others, until it accepts another version", () => {
  const it = settled();
  const cluster = it.stream.types.find(({ typeUrl }) => typeUrl === TYPE_URL.cluster);
  const refused = () => cluster?.refusals.map((refusal) => `${refusal.refused.name}: ${refusal.message}`);
  const answer = (error?: string) => {
    it.take();
    it.ack("cluster", error);
    it.take();
  };
  it.change({ cluster: { a: "2", b: "2" } });
  answer("Error adding/updating cluster(s) a: no good");
  assert.deepEqual(refused(), ["a: Error adding/updating cluster(s) a: no good"]);
  it.change({ cluster: { a: "2", b: "3" } });
  answer();
  assert.deepEqual(refused()?.length, 1);
  assert.equal(cluster?.acceptedVersion("a"), version("a", "1"));
  assert.equal(cluster?.acceptedVersion("b"), version("b", "3"));
  it.change({ cluster: { a: "3", b: "3" } });
  answer();
  assert.deepEqual(refused(), []);
  assert.equal(cluster?.acceptedVersion("a"), version("a", "3"));
});

const NO_LISTENER = "Error adding/updating listener(s) new: cannot bind";

test("a new listener that stays refused keeps nothing else from going", () => {
  const { change, take, ack } = settled();
  change({ listener: { l: "1", new: "1" } });
  assert.deepEqual(take(), ["listener: new=1"]);
  ack("listener", NO_LISTENER);
  change({ listener: { l: "1", new: "1" }, cluster: { a: "1" }, endpoint: { a: "1" }, route: { r: "1" } });
  assert.deepEqual(take(), ["cluster: -b"]);
});

test("what a listener may use that goes on as it was, since its change is refused, stays until it is taken", () => {
  const { change, take, ack } = settled();
  change({ listener: { l: "bad" } });
  take();
  ack("listener", "Error adding/updating listener(s) l: no good");
  const smaller = { cluster: { a: "1" }, endpoint: { a: "1" } };
  change({ ...smaller, listener: { l: "bad", other: "1" } });
  assert.deepEqual(take(), ["listener: other=1"]);
  ack("listener");
  assert.deepEqual(take(), [], "that another one was taken says nothing of it");
  change({ ...smaller, listener: { l: "2", other: "1" } });
  assert.deepEqual(take(), ["listener: l=2"]);
  ack("listener");
  assert.deepEqual(take(), ["cluster: -b"]);
});

test("what came with a refused listener counts as had, when its own change is refused next", () => {
  const { change, take, ack } = settled();
  change({ listener: { l: "1", new: "1", good: "1" } });
  take();
  ack("listener", NO_LISTENER);
  change({ listener: { l: "1", new: "1", good: "bad" } });
  take();
  ack("listener", "Error adding/updating listener(s) good: no good");
  change({ listener: { l: "1", new: "1", good: "bad" }, cluster: { a: "1" }, endpoint: { a: "1" } });
  assert.deepEqual(take(), []);
});
