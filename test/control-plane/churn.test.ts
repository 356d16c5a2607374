import assert from "node:assert/strict";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import type { KnownObject } from "../../src/mesh/kinds.ts";
import { refOf } from "../../src/mesh/object.ts";
import { type TestControlPlane, testControlPlane } from "../support/control-plane.ts";
import { DeltaFollowingProxy, type FollowedNode, SotwFollowingProxy } from "../support/following-proxy.ts";
import { meshChange, meshObjects, withObjects } from "../support/random-mesh.ts";
import { until } from "../support/until.ts";

type Following = DeltaFollowingProxy | SotwFollowingProxy;

/** Of pods that the mesh may know, or not; some answer DNS, have IPv6, or stand somewhere. */
const NODES: readonly FollowedNode[] = [
  ["a.shop", { LABELS: { app: "a" } }],
  ["b.shop", { LABELS: { app: "b", version: "v1" }, DNS_CAPTURE: "true", INSTANCE_IPS: "10.1.0.2,fd00::1" }],
  ["c.shop", { LABELS: { app: "c", version: "v2", "topology.kubernetes.io/region": "west" } }],
  ["a.edge", { LABELS: { app: "a" } }],
  ["b.edge", { LABELS: { app: "b" }, INTERCEPTION_MODE: "TPROXY" }],
  ["a.trysail-system", { LABELS: {} }],
].map(([pod, metadata], index) => {
  const namespace = String(pod).split(".")[1] ?? "";
  return {
    id: `sidecar~10.1.0.${index + 1}~${pod}~${namespace}.svc.cluster.local`,
    metadata: { NAMESPACE: namespace, ...Object(metadata) },
  };
});

const PLAINTEXT = { plaintext: { host: "127.0.0.1", port: 0 } };

/** Bursts of changes; between two of them everything comes to rest, and some proxies lose their connections. */
const histories = fc.record({
  start: meshObjects,
  bursts: fc.array(fc.array(meshChange, { minLength: 1, maxLength: 8 }), { minLength: 2, maxLength: 3 }),
});

test("whatever comes and goes, every stream ends with what a new one to a new control plane begins with", async (t) => {
  // Another seed is another set of histories: try some behind a change of what this shows.
  const all = fc.sample(histories, { numRuns: 3, seed: Number(process.env.CHURN_SEED ?? 1) });
  for (const [index, { start, bursts }] of all.entries()) {
    await t.test(`history ${index + 1}`, async (t) => {
      const mesh = await testControlPlane(t, filesOf(start), PLAINTEXT);
      const port = mesh.ports.plaintext ?? assert.fail();
      let streams = NODES.flatMap((node) => [
        new DeltaFollowingProxy(port, node),
        new SotwFollowingProxy(port, node),
        new DeltaFollowingProxy(port, node),
        new SotwFollowingProxy(port, node),
      ]);
      t.after(() => streams.map((stream) => stream.close()));
      let objects = start;
      for (const burst of bursts) {
        for (const { put, removeEvery } of burst) {
          const next = withObjects(objects, put).filter((_, at) => (at + 1) % removeEvery !== 0);
          await write(mesh, objects, next);
          objects = next;
        }
        // Each sixth comes back while the changes are on their way.
        streams = streams.map((stream, at) => (at % 6 === 0 ? reconnected(stream, port, at) : stream));
        await assertLikeNew(t, streams, objects);
      }
    });
  }
});

/** Whether streams, of the nodes in turn, come to what new ones have of a control plane that never knew anything else. */
async function assertLikeNew(t: TestContext, streams: readonly Following[], objects: readonly KnownObject[]) {
  const fresh = await testControlPlane(t, filesOf(objects), PLAINTEXT);
  const port = fresh.ports.plaintext ?? assert.fail();
  const news = NODES.map((node) => new DeltaFollowingProxy(port, node));
  const expected = await Promise.all(
    news.map((proxy) =>
      until("a new stream to have everything", () => proxy.isWhole() && proxy.state(), { timeoutMs: 20_000 }),
    ),
  );
  for (const proxy of news) proxy.close();
  await fresh.stop();
  for (const [index, stream] of streams.entries()) {
    const like = expected[Math.floor(index / (streams.length / NODES.length))];
    await until(
      `stream ${index} to be like a new one`,
      () => {
        assert.deepEqual(stream.state(), like);
        return true;
      },
      { timeoutMs: 20_000 },
    );
  }
}

function reconnected(stream: Following, port: number, at: number): Following {
  stream.close();
  const node = NODES[Math.floor(at / 4)] ?? assert.fail();
  return stream instanceof DeltaFollowingProxy
    ? new DeltaFollowingProxy(port, node, stream)
    : new SotwFollowingProxy(port, node, stream);
}

function filesOf(objects: readonly KnownObject[]): Record<string, string> {
  return Object.fromEntries(objects.map((object) => [fileOf(object), JSON.stringify(object)]));
}

function fileOf(object: KnownObject): string {
  const { kind, namespace, name } = refOf(object);
  return `${kind}.${namespace}.${name}.json`;
}

async function write({ dir }: TestControlPlane, before: readonly KnownObject[], after: readonly KnownObject[]) {
  const [old, now] = [filesOf(before), filesOf(after)];
  for (const name of Object.keys(old)) if (now[name] === undefined) await rm(join(dir, name));
  for (const [name, text] of Object.entries(now)) if (old[name] !== text) await writeFile(join(dir, name), text);
}
