import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { document } from "../../test/support/manifests.ts";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { objectsOf } from "../../test/support/mesh.ts";
import { createNameServer } from "../dev/name-server.ts";
import type { ObjectSet } from "../mesh/object-set.ts";
import { createSnapshotBuilder } from "../mesh/snapshot.ts";
import { createLog } from "../platform/log.ts";
import { createGatewayAddresses, createLookUp } from "./gateway-addresses.ts";

const HOST = "gate.example.com";
const gate = (labels = { "topology.istio.io/network": "there" }) =>
  document({
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "gate", namespace: "edge", labels },
    spec: { clusterIP: "10.96.1.1", ports: [{ name: "tls", port: 15443 }] },
    status: { loadBalancer: { ingress: [{ hostname: HOST }] } },
  });

/** A source that says what it is told, and answers that the test gives to each look-up. */
function start(first: ObjectSet) {
  const clock = createManualClock(0);
  let set = first;
  let tell = (_set: ObjectSet) => {};
  let answer: () => readonly string[] = () => ["192.0.2.2", "192.0.2.1"];
  const asked: string[] = [];
  const source = createGatewayAddresses({
    source: {
      start: async () => {},
      stop: async () => {},
      current: () => set,
      onChange(listener) {
        tell = listener;
        return () => {};
      },
    },
    async lookUp(host) {
      asked.push(host);
      return { addresses: answer(), ttlMs: 60_000 };
    },
    clock,
    log: createLog("silent"),
  });
  const places = () => {
    const { networkGateways } = createSnapshotBuilder("cluster.local").build(source.current());
    return [...networkGateways].flatMap(([network, entries]) =>
      entries.map(({ address, port }) => `${network} ${address} ${port}`),
    );
  };
  return {
    ...{ source, places, asked },
    answers: (next: () => readonly string[]) => {
      answer = next;
    },
    change: (next: ObjectSet) => {
      set = next;
      tell(next);
    },
    async pass(ms: number) {
      clock.advance(ms);
      for (let at = 0; at < 5; at++) await turn();
    },
    pending: () => clock.pending(),
  };
}

const of = (text: string): ObjectSet => ({ objects: objectsOf(text), findings: [] });

test("a gateway's host name stands for its addresses, of every cluster", async () => {
  const one = start({ objects: [], findings: [], remotes: [{ cluster: "east", objects: objectsOf(gate()) }] });
  await one.source.start();
  assert.deepEqual(one.places(), ["there 192.0.2.1 15443", "there 192.0.2.2 15443"]);
});

test("it is asked for again when its answer has aged, and what it led to stays while it cannot be", async () => {
  const one = start(of(gate()));
  await one.source.start();
  let told = 0;
  one.source.onChange(() => told++);
  await one.pass(60_000);
  assert.deepEqual([one.asked.length, told], [2, 0], "the same answer is no change");
  one.answers(() => {
    throw new Error("no DNS");
  });
  await one.pass(60_000);
  assert.deepEqual(one.places(), ["there 192.0.2.1 15443", "there 192.0.2.2 15443"]);
  one.answers(() => ["192.0.2.7"]);
  await one.pass(10_000);
  assert.deepEqual([one.asked.length, told], [4, 1]);
  assert.deepEqual(one.places(), ["there 192.0.2.7 15443"]);
});

test("what is no gateway is not asked for, and one that goes is forgotten", async () => {
  const one = start(of(gate({ "topology.istio.io/network": "" })));
  await one.source.start();
  assert.deepEqual([one.asked, one.source.current().addresses], [[], undefined]);
  one.change(of(gate()));
  await one.pass(0);
  assert.deepEqual(one.places().length, 2);
  one.change(of(""));
  await one.pass(300_000);
  assert.deepEqual([one.asked.length, one.source.current().addresses, one.pending()], [1, undefined, 0]);
});

test("names are asked of a name server, and one without an address is told of", async (t) => {
  const server = await createNameServer("127.0.0.1", 0, () => ({
    answer({ name, type }) {
      if (name !== HOST) return undefined;
      return type === "A" ? [{ name, type: "A", ttl: 30, data: "192.0.2.9" }] : [];
    },
  }));
  t.after(() => server.close());
  const lookUp = createLookUp([`127.0.0.1:${server.port}`]);
  assert.deepEqual(await lookUp(HOST), { addresses: ["192.0.2.9"], ttlMs: 30_000 });
  await assert.rejects(lookUp("nobody.example.com"), {
    code: "not-found",
    message: "nobody.example.com has no address",
  });
});
