import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import { envoyMissing } from "../support/envoy.ts";
import { limit, startLimited } from "../support/limited-workloads.ts";
import { endpoint, service } from "../support/manifests.ts";
import { redisMissing, startRedis } from "../support/redis.ts";
import { until } from "../support/until.ts";
import { listenOn } from "../support/upstream.ts";

/** What becomes of requests while nobody counts them, at a real Envoy. */

test("who counts is waited for as long as the object says, and no longer", { skip: envoyMissing() }, async (t) => {
  const mute = await listenOn(
    t,
    createServer((socket) => socket.on("error", () => socket.destroy())),
    "127.0.0.1",
  );
  const within = (timeout: object, failureMode = "DENY") => [
    { requests: [limit(1, { scope: "GLOBAL" })], service: { host: "mute", ...timeout, failureMode } },
  ];
  const { call } = await startLimited(
    t,
    [within({ timeout: "4s" }), within({ timeout: "0.2s" }), within({}), within({ timeout: "0.2s" }, "ALLOW")],
    {
      around:
        service({ name: "mute", ports: { grpc: 8081 }, clusterIP: "10.96.0.7" }) +
        endpoint("mute", { name: "mute-0", ip: "127.0.0.1" }, { grpc: mute }),
    },
  );
  const took = async (index: number) => {
    const began = performance.now();
    const { status } = await call(index);
    return { status, ms: performance.now() - began };
  };
  const [long, short, unsaid, allowed] = await Promise.all([0, 1, 2, 3].map(took));
  assert.ok(long && short && unsaid && allowed);
  assert.deepEqual([long.status, short.status, unsaid.status, allowed.status], [500, 500, 500, 200]);
  // Envoy counts time in whole milliseconds, and from when it last looked.
  assert.ok(long.ms > 3900 && short.ms > 180 && unsaid.ms > 80, `${long.ms}, ${short.ms} and ${unsaid.ms} ms`);
  assert.ok(short.ms < long.ms && unsaid.ms < long.ms, `${long.ms}, ${short.ms} and ${unsaid.ms} ms`);
});

test("while Redis is away each object's failureMode holds, and counts go on when it is back", {
  skip: envoyMissing() || redisMissing(),
}, async (t) => {
  const redis = await startRedis(t);
  const quota = { requests: [limit(1, { scope: "GLOBAL" })] };
  const { call, counting } = await startLimited(
    t,
    [[quota], [{ ...quota, service: { timeout: "30s", failureMode: "DENY" } }]],
    { redisUrl: redis.url },
  );
  const isReady = async () => (await counting.page("/ready")).status === 200;
  const statuses = async () => [(await call(0)).status, (await call(1)).status];
  await until("Redis", isReady);
  assert.deepEqual(
    [await statuses(), await statuses()],
    [
      [200, 200],
      [429, 429],
    ],
  );
  await redis.kill();
  assert.deepEqual(
    [await statuses(), await statuses()],
    [
      [200, 500],
      [200, 500],
    ],
  );
  await redis.start();
  await until("Redis again", isReady);
  assert.deepEqual(
    [await statuses(), await statuses()],
    [
      [200, 200],
      [429, 429],
    ],
  );
});
