import assert from "node:assert/strict";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { followingBootstrap } from "../support/ads-bootstrap.ts";
import { testControlPlane } from "../support/control-plane.ts";
import { envoyMissing } from "../support/envoy.ts";
import { startEnvoyInPod } from "../support/envoy-in-pod.ts";
import { runInit } from "../support/intercepted-pod.ts";
import { endpoint, istio, meshConfig, pod as podObject, service } from "../support/manifests.ts";
import { createTestNetwork, netnsMissing, type TestHost } from "../support/netns.ts";
import { rateLimit } from "../support/rate-limits.ts";
import { socketTo } from "../support/socket-to.ts";
import { until } from "../support/until.ts";

/** While requests are counted, by a proxy and by the service, the limits change that they are counted for. */

const PLENTY = 1_000_000;

/** Each turn says another limit in the proxy, which its answers show; beside it, others come and go. */
function manifests({ machine, pod }: { machine: TestHost; pod: TestHost }, version: number): string {
  const turn = version % 4;
  const limit = (amount: number, more: object) => ({ name: "a", rate: { amount, unit: "HOUR" }, ...more });
  const counting = { name: "trysail-ratelimit", namespace: "trysail-ratelimit" };
  return [
    // The proxy has no certificate here, and would wait for one.
    meshConfig("enableAutoMtls: false"),
    istio("PeerAuthentication", "off", { mtls: { mode: "DISABLE" } }),
    podObject({ name: "caller", ip: pod.ipv4, labels: { app: "web" } }),
    service({ name: "web", ports: { http: 8080 }, clusterIP: "10.96.0.5" }),
    service({ ...counting, ports: { grpc: 8081 }, clusterIP: "10.96.0.6" }),
    endpoint(counting.name, { ...counting, ip: machine.ipv4 }, { grpc: 8081 }),
    rateLimit("shown", {
      requests: [limit(PLENTY + version, { scope: "PROXY", ...(turn === 1 ? { match: { paths: ["*"] } } : {}) })],
      showLimits: true,
    }),
    ...(turn === 0 ? [] : [rateLimit("all", { requests: [limit(PLENTY + version, { scope: "GLOBAL" })] })]),
    ...(turn === 2 ? [rateLimit("more", { connections: [limit(PLENTY, { scope: "GLOBAL" })] })] : []),
    ...(turn === 3
      ? [rateLimit("more", { requests: [limit(PLENTY, { scope: "GLOBAL", by: [{ attribute: "REMOTE_ADDRESS" }] })] })]
      : []),
  ].join("");
}

async function startNode(host: TestHost, args: readonly string[], ready: RegExp): Promise<void> {
  const { stdout, stderr } = host.start(process.execPath, args);
  let text = "";
  for (const stream of [stdout, stderr]) {
    stream?.setEncoding("utf8").on("data", (more: string) => {
      text += more;
    });
  }
  await until(`${args.at(0)} to be ready`, () => ready.test(text), { timeoutMs: 60_000 }).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${text}`);
  });
}

/** Asks without a pause, on connections that stay and on new ones, and tells of every version and failure that it sees. */
function startCalls(host: TestHost, to: string) {
  const script = `
    const { Agent, request } = require("node:http");
    const kept = new Agent({ keepAlive: true, maxSockets: 3 });
    let seen = "";
    const ask = (agent) => new Promise((resolve) => {
      request({ host: "${to}", port: 8080, agent }, (response) => {
        const limit = response.headers["x-ratelimit-limit"];
        if (response.statusCode !== 200) console.log("failed with " + response.statusCode);
        else if (limit !== seen) console.log("limit " + (seen = limit));
        response.resume().once("end", resolve);
      }).once("error", (error) => resolve(console.log("failed by " + error.message))).end();
    });
    const forever = async (agent) => { for (;;) await ask(agent); };
    for (const agent of [kept, kept, kept, false]) forever(agent);`;
  let text = "";
  const child = host.start(process.execPath, ["-e", script]);
  (child.stdout ?? assert.fail()).setEncoding("utf8").on("data", (more: string) => {
    text += more;
  });
  return () => text.split("\n");
}

test("no request fails while the limits change that it is counted for", {
  skip: netnsMissing() || envoyMissing(),
}, async (t) => {
  const hosts = await createTestNetwork(t);
  const { machine, pod } = hosts;
  // It closes no connection that Envoy may be about to use.
  const web = `require("node:http").createServer({ keepAliveTimeout: 0 }, (_, response) => response.end("web"))
    .listen(8080, "0.0.0.0", () => console.log("listening"));`;
  await startNode(pod, ["-e", web], /listening/);
  const plaintext = { host: "127.0.0.1", port: 0 };
  const controlPlane = await testControlPlane(t, { "mesh.yaml": manifests(hosts, 0) }, { plaintext });
  assert.ok(controlPlane.ports.plaintext !== null);
  const program = fileURLToPath(new URL("../../src/cli/trysail.ts", import.meta.url));
  const counting = ["--in-memory", "--config-dir", controlPlane.dir, "--monitoring-addr", "127.0.0.1:15014"];
  await startNode(machine, [program, "ratelimit", ...counting], /"msg":"ready"/);
  await runInit(t, pod, []);
  const socketPath = await socketTo(t, controlPlane.ports.plaintext);
  const envoy = await startEnvoyInPod(t, pod, followingBootstrap(socketPath), { asRoot: true });
  const lines = startCalls(machine, pod.ipv4);
  const isSeen = (version: number) => () => lines().includes(`limit ${PLENTY + version}`);
  await until("a request of the first version", isSeen(0));
  // The last turn is one in which all limits are there.
  for (let version = 1; version <= 11; version++) {
    const next = join(controlPlane.stateDir, "next.yaml");
    await writeFile(next, manifests(hosts, version));
    await rename(next, join(controlPlane.dir, "mesh.yaml"));
    await until(`a request of version ${version}`, isSeen(version));
  }
  await until("both limits to be counted by the service", async () => {
    const metrics = await machine.run("curl", ["-s", "http://127.0.0.1:15014/metrics"]);
    const isCounted = (limit: string) =>
      metrics.includes(`trysail_ratelimit_counts_total{limit="shop/${limit}/a",outcome="within"} `);
    return isCounted("all") && isCounted("more");
  });
  assert.deepEqual(
    lines().filter((line) => line.startsWith("failed")),
    [],
  );
  const stats = await envoy.admin("/stats?filter=ratelimit.*error$");
  const errors = [...stats.matchAll(/: (\d+)$/gm)].reduce((sum, [, count]) => sum + Number(count), 0);
  t.diagnostic(`questions to the service that got no answer, and whose requests passed: ${errors}`);
});
