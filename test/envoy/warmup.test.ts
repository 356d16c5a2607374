import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { adsBootstrap } from "../support/ads-bootstrap.ts";
import { get } from "../support/caller.ts";
import { testControlPlane } from "../support/control-plane.ts";
import { envoyMissing, startEnvoy } from "../support/envoy.ts";
import { endpoint, istio, meshConfig, pod, service } from "../support/manifests.ts";
import { until } from "../support/until.ts";
import { startUpstream } from "../support/upstream.ts";

/** What share of the requests an endpoint gets that has just joined, asked of a real Envoy that follows the mesh. */

const WARMUP_MS = 4000;
const duration = `${WARMUP_MS / 1000}s`;

/** How services balance, and whether a new endpoint's share grows bit by bit. */
const services: Readonly<Record<string, readonly [loadBalancer: object, isWarmed: boolean]>> = {
  cold: [{ simple: "ROUND_ROBIN" }, false],
  warmed: [{ simple: "ROUND_ROBIN", warmup: { duration } }, true],
  least: [{ warmup: { duration } }, true],
  older: [{ simple: "ROUND_ROBIN", warmupDurationSecs: duration }, true],
  minimum: [{ simple: "ROUND_ROBIN", warmup: { duration, minimumPercent: 100 } }, false],
  aggressive: [{ simple: "ROUND_ROBIN", warmup: { duration, aggression: 1000 } }, false],
};

const REQUESTS = 40;

test("an endpoint that joins gets its share bit by bit where a warmup is asked for", {
  skip: envoyMissing(),
}, async (t) => {
  const old = { name: "old", ...(await startUpstream(t, "old", "127.0.0.111")) };
  const fresh = { name: "fresh", ...(await startUpstream(t, "fresh", "127.0.0.112")) };
  const endpoints = (one: typeof old) =>
    Object.keys(services)
      .map((name) => endpoint(name, { ...one, name: `${name}-${one.name}` }, { http: one.port }))
      .join("");
  const around = [
    // The proxy has no certificate here, and would wait for one.
    meshConfig("enableAutoMtls: false"),
    pod({ name: "caller", ip: "127.0.0.110" }),
    ...Object.entries(services).map(
      ([name, [loadBalancer]], index) =>
        service({ name, ports: { http: 80 }, clusterIP: `10.96.0.${index + 1}` }) +
        istio("DestinationRule", name, { host: name, trafficPolicy: { loadBalancer } }),
    ),
    endpoints(old),
  ].join("");
  const mesh = await testControlPlane(t, { "mesh.yaml": around }, { plaintext: { host: "127.0.0.1", port: 0 } });
  assert.ok(mesh.ports.plaintext !== null);
  const envoy = await startEnvoy(t, adsBootstrap(mesh.ports.plaintext));
  const port = await envoy.listenerPort("requests");
  const members = (name: string) => envoy.stat(`cluster.outbound|80||${name}.shop.svc.cluster.local.membership_total`);
  const allHave = (count: number) =>
    until(`${count} endpoints`, async () =>
      (await Promise.all(Object.keys(services).map(members))).every((n) => n === count),
    );
  await allHave(1);
  const began = performance.now();
  await until("the first endpoints to be warm", () => performance.now() - began > WARMUP_MS);

  const shareOf = async (host: string) => {
    let count = 0;
    for (let i = 0; i < REQUESTS; i++) {
      if ((await get(port, { headers: { host } })).headers["x-upstream"] === "fresh") count++;
    }
    return count / REQUESTS;
  };
  /** None where it took so long to measure them that they have grown: then the endpoint has left again. */
  const earlyShares = async () => {
    const began = performance.now();
    await writeFile(join(mesh.dir, "fresh.yaml"), endpoints(fresh));
    await allHave(2);
    const shares = await Promise.all(Object.keys(services).map(shareOf));
    if (performance.now() - began < 0.4 * WARMUP_MS) return shares;
    await writeFile(join(mesh.dir, "fresh.yaml"), "");
    await allHave(1);
    return null;
  };
  let shares = await earlyShares();
  while (shares === null) shares = await earlyShares();
  for (const [index, [name, [, isWarmed]]] of Object.entries(services).entries()) {
    const share = shares[index] ?? 0;
    if (isWarmed) assert.ok(share > 0 && share < 0.35, `${name}: ${share}`);
    else assert.ok(share > 0.4, `${name}: ${share}`);
  }
  for (const name of ["warmed", "least", "older"]) {
    await until(`${name} to be warm`, async () => (await shareOf(name)) > 0.4);
  }
});
