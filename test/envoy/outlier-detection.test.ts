import assert from "node:assert/strict";
import { test } from "node:test";
import { envoyMissing } from "../support/envoy.ts";
import { type RuledServices, startRuled } from "../support/ruled-services.ts";
import { until } from "../support/until.ts";
import { startUpstream } from "../support/upstream.ts";

/** Which endpoints a real Envoy leaves out, and for how long: each policy is that of a service of its own. */

test("outlierDetection holds at a real Envoy", { skip: envoyMissing() }, async (t) => {
  const two = [await startUpstream(t, "u1", "127.0.0.61"), await startUpstream(t, "u2", "127.0.0.62")];
  const one = two.slice(0, 1);
  const refusing = [...one, { ip: "127.0.0.67", port: 9 }];
  const outliers = (outlierDetection: object) => ({
    trafficPolicy: {
      loadBalancer: { simple: "ROUND_ROBIN" },
      outlierDetection: { interval: "0.1s", maxEjectionPercent: 100, ...outlierDetection },
    },
  });
  const services: RuledServices = {
    ejected: [two, outliers({ consecutive5xxErrors: 3, baseEjectionTime: "3600s" })],
    "gateway-ejected": [
      two,
      outliers({ consecutive5xxErrors: 0, consecutiveGatewayErrors: 3, baseEjectionTime: "1h" }),
    ],
    "gateway-ejected-of-old": [
      two,
      outliers({ consecutive5xxErrors: 0, consecutiveErrors: 3, baseEjectionTime: "1h" }),
    ],
    returning: [two, outliers({ consecutive5xxErrors: 2, baseEjectionTime: "0.3s" })],
    unreachable: [
      refusing,
      outliers({
        splitExternalLocalOriginErrors: true,
        consecutiveLocalOriginFailures: 2,
        baseEjectionTime: "1h",
      }),
    ],
    // Half of two: the other one stays, however it fails.
    "half-ejected": [two, outliers({ consecutive5xxErrors: 1, baseEjectionTime: "1h", maxEjectionPercent: 50 })],
    "never-all": [one, outliers({ consecutive5xxErrors: 1, baseEjectionTime: "1h", minHealthPercent: 50 })],
  };
  const { ask, upstreamOf, stat } = await startRuled(t, services);

  const ejections = (host: string) => stat(host, "outlier_detection.ejections_active");
  /** Each is for a path of its own, which an endpoint answers like that the first time that it is asked for it. */
  const failures = async (host: string, status: number, times: number) => {
    for (let i = 0; i < times; i++) await ask(host, { path: `/status/${status}/1/${host}-${i}` });
  };

  await t.test("outlierDetection.consecutive5xxErrors: endpoints that fail in a row are left out", async () => {
    assert.equal(await ejections("ejected"), 0);
    await failures("ejected", 500, 8);
    await until("ejections", async () => (await ejections("ejected")) >= 1);
  });

  await t.test("outlierDetection.consecutiveGatewayErrors: 500 counts as nothing, 503 does", async () => {
    // By its name of today, and by the one it had: consecutiveErrors.
    for (const name of ["gateway-ejected", "gateway-ejected-of-old"]) {
      await failures(name, 500, 10);
      assert.equal(await ejections(name), 0);
      await failures(name, 503, 10);
      await until("ejections", async () => (await ejections(name)) >= 1);
    }
  });

  await t.test("outlierDetection.baseEjectionTime: what was left out comes back", async () => {
    await failures("returning", 500, 4);
    await until(
      "an ejection",
      async () => (await stat("returning", "outlier_detection.ejections_enforced_total")) >= 1,
    );
    await until("the return", async () => (await ejections("returning")) === 0);
    assert.equal((await ask("returning")).status, 200);
  });

  await t.test("outlierDetection: an endpoint that cannot be reached is left out by its own count", async () => {
    for (let i = 0; i < 6; i++) await ask("unreachable");
    await until("its ejection", async () => (await ejections("unreachable")) === 1);
    for (let i = 0; i < 6; i++) assert.equal(await upstreamOf("unreachable"), "u1");
  });

  await t.test("outlierDetection.maxEjectionPercent: no more are left out, however they fail", async () => {
    await failures("half-ejected", 500, 20);
    await until("an ejection", async () => (await ejections("half-ejected")) === 1);
    assert.ok((await stat("half-ejected", "outlier_detection.ejections_overflow")) >= 1, "the other was not spared");
    assert.equal(await ejections("half-ejected"), 1);
  });

  await t.test("outlierDetection.minHealthPercent: with fewer left, all are asked again", async () => {
    await failures("never-all", 500, 2);
    await until("its ejection", async () => (await ejections("never-all")) === 1);
    assert.equal(await upstreamOf("never-all"), "u1");
    assert.ok((await stat("never-all", "lb_healthy_panic")) >= 1);
  });
});
