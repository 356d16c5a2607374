import assert from "node:assert/strict";
import { test } from "node:test";
import { envoyMissing } from "../support/envoy.ts";
import { limit, startLimited } from "../support/limited-workloads.ts";

/** RateLimits of connections, at a real Envoy and the real service. */

test("connections are limited at a real Envoy", { skip: envoyMissing() }, async (t) => {
  const connections = (...limits: object[]) => ({ connections: limits });
  const byAddress = { scope: "GLOBAL", by: [{ attribute: "REMOTE_ADDRESS" }] };
  const { isConnected, call, envoy } = await startLimited(t, ({ http, tcp }) => [
    [connections(limit(2))],
    [connections(limit(2, { scope: "GLOBAL" }))],
    [connections(limit(1, byAddress))],
    [connections(limit(1, { ...byAddress, shadow: true }))],
    [{ ...connections(limit(1, { scope: "GLOBAL" })), service: { host: "empty", failureMode: "DENY" } }],
    [{ ...connections(limit(1, { scope: "GLOBAL" })), service: { host: "empty" } }],
    [connections(limit(1, { ports: [tcp] }))],
    [connections(limit(1, { ports: [http] }))],
    ...["PROXY", "GLOBAL"].map((scope) => [connections(limit(3, { scope }), limit(2, { scope, name: "b" }))]),
  ]);
  const times = async (index: number, ...callers: (string | undefined)[]) => {
    const got: boolean[] = [];
    for (const from of callers) got.push(await isConnected(index, from));
    return got;
  };
  await t.test("PROXY: with mutual TLS and without together", async () => {
    assert.deepEqual(
      [await isConnected(0, undefined, "page"), await isConnected(0), await isConnected(0)],
      [true, true, false],
    );
    assert.equal(await isConnected(0, undefined, "page"), false);
    assert.ok((await envoy.stat("local_rate_limit.shop_app-0-0.rate_limited")) >= 2);
  });
  await t.test("GLOBAL: all together", async () => {
    assert.deepEqual(await times(1, "127.0.0.51", "127.0.0.52", "127.0.0.53"), [true, true, false]);
  });
  await t.test("GLOBAL: counted by address", async () => {
    assert.deepEqual(await times(2, "127.0.0.51", "127.0.0.51", "127.0.0.52"), [true, false, true]);
  });
  await t.test("GLOBAL: a shadow refuses nobody", async () => {
    assert.deepEqual(await times(3, "127.0.0.51", "127.0.0.51"), [true, true]);
  });
  await t.test("GLOBAL: failureMode while nobody counts", async () => {
    assert.deepEqual([await isConnected(4), await isConnected(5)], [false, true]);
  });
  await t.test("a limit holds at the ports that it names, and at no other", async () => {
    assert.deepEqual([await isConnected(6), await isConnected(6)], [true, false]);
    assert.deepEqual([await isConnected(7), await isConnected(7)], [true, true]);
    assert.equal((await call(7)).status, 200);
    await assert.rejects(call(7), /was closed/);
  });
  await t.test("two limits of an object, told apart by their names: each counts", async () => {
    for (const index of [8, 9]) {
      assert.deepEqual(
        [await isConnected(index), await isConnected(index), await isConnected(index)],
        [true, true, false],
      );
    }
  });
  await t.test("connections that carry requests count as well", async () => {
    assert.equal((await call(2, { from: "127.0.0.61" })).status, 200);
    await assert.rejects(call(2, { from: "127.0.0.61" }), /was closed/);
  });
});
