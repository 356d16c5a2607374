import assert from "node:assert/strict";
import { rename, writeFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { adsBootstrap } from "../support/ads-bootstrap.ts";
import { testControlPlane } from "../support/control-plane.ts";
import { envoyMissing, startEnvoy } from "../support/envoy.ts";
import { endpoint, istio, meshConfig, pod, service } from "../support/manifests.ts";
import { until } from "../support/until.ts";
import { startUpstream, type Upstream } from "../support/upstream.ts";

/** While requests cross a real Envoy, its configuration changes under them: none of them may fail. */

const LOCAL = { host: "127.0.0.1", port: 0 };
const headers = (version: number) => ({ response: { set: { "x-version": String(version) } } });

/** The mesh after a number of changes: each turn moves endpoints, subsets, policies, routes, or a delegate. */
function manifests(upstreams: readonly Upstream[], version: number): string {
  const turn = version % 5;
  const shown = turn === 1 ? upstreams.slice(0, 1) : turn === 2 ? upstreams.slice(1) : upstreams;
  const to = (subset: string, weight: number) => ({ destination: { host: "web", subset }, weight });
  const routes = {
    0: { route: [{ destination: { host: "web" } }] },
    1: { route: [to(`v1-${version}`, 100)] },
    2: { route: [{ destination: { host: "web" } }], mirror: { host: "web" } },
    3: { route: [to(`v1-${version}`, 50), to(`v2-${version}`, 50)] },
    4: { delegate: { name: `inner-${version}` } },
  }[turn];
  return [
    // The proxy has no certificate here, and would wait for one.
    meshConfig("enableAutoMtls: false"),
    pod({ name: "caller", ip: "127.0.0.90" }),
    service({ name: "web", ports: { http: 80 }, clusterIP: "10.96.0.1" }),
    ...shown.flatMap(({ ip, port }) => {
      const of = {
        name: `web-${ip.replaceAll(".", "-")}`,
        ip,
        labels: { app: "web", version: `v${upstreams.findIndex((one) => one.ip === ip) + 1}` },
      };
      return [pod(of), endpoint("web", of, { http: port })];
    }),
    istio("DestinationRule", "web", {
      host: "web",
      trafficPolicy: {
        connectionPool: { tcp: { connectTimeout: `${1 + version}s` } },
        ...(turn === 2 ? { loadBalancer: { consistentHash: { httpHeaderName: "x-user" } } } : {}),
      },
      subsets: ["v1", "v2"].map((name) => ({ name: `${name}-${version}`, labels: { version: name } })),
    }),
    istio("VirtualService", "web", { hosts: ["web"], http: [{ ...routes, headers: headers(version) }] }),
    ...(turn === 4
      ? [istio("VirtualService", `inner-${version}`, { http: [{ route: [{ destination: { host: "web" } }] }] })]
      : []),
  ].join("");
}

/** Asks without a pause until stopped, and gathers what went wrong. */
function startRequests(t: TestContext, port: number, callers: number) {
  const agent = new Agent({ keepAlive: true, maxSockets: callers });
  t.after(() => agent.destroy());
  const failures: string[] = [];
  const versions = new Set<number>();
  let count = 0;
  let isStopped = false;
  const once = () =>
    new Promise<void>((resolve) => {
      const sent = request({ host: "127.0.0.1", port, agent, headers: { host: "web" } }, (response) => {
        count++;
        versions.add(Number(response.headers["x-version"]));
        if (response.statusCode !== 200) failures.push(`${response.statusCode} ${response.headers["x-version"]}`);
        response.resume().once("end", () => resolve());
      });
      sent.once("error", (error) => {
        failures.push(error.message);
        resolve();
      });
      sent.end();
    });
  const loops = Array.from({ length: callers }, async () => {
    while (!isStopped) await once();
  });
  return {
    failures,
    versions,
    count: () => count,
    async stop() {
      isStopped = true;
      await Promise.all(loops);
    },
  };
}

test("no request fails while routes, subsets, policies and endpoints change", { skip: envoyMissing() }, async (t) => {
  const upstreams = [await startUpstream(t, "v1", "127.0.0.91"), await startUpstream(t, "v2", "127.0.0.92")];
  const controlPlane = await testControlPlane(t, { "mesh.yaml": manifests(upstreams, 0) }, { plaintext: LOCAL });
  const adsPort = controlPlane.ports.plaintext;
  assert.ok(adsPort !== null);
  const envoy = await startEnvoy(t, adsBootstrap(adsPort));
  const port = await envoy.listenerPort("requests");
  const requests = startRequests(t, port, 4);
  await until("a request of the first version", () => requests.versions.has(0));
  for (let version = 1; version <= 20; version++) {
    const file = join(controlPlane.dir, "mesh.yaml");
    await writeFile(join(controlPlane.stateDir, "next.yaml"), manifests(upstreams, version));
    await rename(join(controlPlane.stateDir, "next.yaml"), file);
    await until(`a request of version ${version}`, () => requests.versions.has(version));
  }
  await requests.stop();
  assert.deepEqual(requests.failures, [], `${requests.failures.length} of ${requests.count()}`);
  assert.ok(requests.count() > 100, `${requests.count()} requests`);
});
