import assert from "node:assert/strict";
import { once } from "node:events";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { followingBootstrap } from "../support/ads-bootstrap.ts";
import { testControlPlane } from "../support/control-plane.ts";
import { envoyMissing } from "../support/envoy.ts";
import { startEnvoyInPod } from "../support/envoy-in-pod.ts";
import { answerWithName, runInit } from "../support/intercepted-pod.ts";
import { endpoint, istio, meshConfig, pod as podObject, service } from "../support/manifests.ts";
import { createTestNetwork, netnsMissing, type TestHost } from "../support/netns.ts";
import { socketTo } from "../support/socket-to.ts";
import { until } from "../support/until.ts";

/** While an application's requests and connections are intercepted, the listeners change that take them. */

/** Each turn makes other listeners: filters, the time to wait for a protocol, or chains that come and go. */
function manifests({ ipv4 }: TestHost, version: number): string {
  const turn = version % 4;
  const settings = [
    // The proxy has no certificate here, and would wait for one.
    "enableAutoMtls: false",
    ...(turn === 1 ? ["pathNormalization: { normalization: MERGE_SLASHES }"] : []),
    ...(turn === 2 ? ["protocolDetectionTimeout: 3s"] : []),
  ];
  const backend = (name: string, clusterIP: string, ports: Readonly<Record<string, number>>, target: number) =>
    service({ name, ports, clusterIP }) +
    endpoint(name, { name: `${name}-0`, ip: ipv4 }, Object.fromEntries(Object.keys(ports).map((key) => [key, target])));
  return [
    meshConfig(settings.join("\n")),
    istio("PeerAuthentication", "off", { mtls: { mode: "DISABLE" } }),
    podObject({ name: "caller", ip: "10.99.0.2" }),
    backend("web", "10.96.0.5", { http: 80 }, 8080),
    backend("db", "10.96.0.6", { tcp: 5000 }, 9090),
    istio("DestinationRule", "db", {
      host: "db",
      trafficPolicy: { connectionPool: { tcp: { idleTimeout: `${100 + version}s` } } },
    }),
    istio("VirtualService", "web", {
      hosts: ["web"],
      http: [
        {
          headers: { response: { set: { "x-version": String(version) } } },
          route: [{ destination: { host: "web" } }],
        },
      ],
    }),
    // What is no HTTP, on the port of the requests: all that is sent there is looked into.
    ...(turn === 3
      ? [
          istio("ServiceEntry", "beside", {
            hosts: ["beside.example.com"],
            addresses: ["10.97.0.0/16"],
            ports: [{ number: 80, name: "tcp", protocol: "TCP" }],
            resolution: "NONE",
          }),
        ]
      : []),
  ].join("");
}

async function startWeb(host: TestHost): Promise<void> {
  // It closes no connection that Envoy may be about to use.
  const server = `require("node:http").createServer({ keepAliveTimeout: 0 }, (_, response) => response.end("web"))
    .listen(8080, "0.0.0.0", () => console.log("listening"));`;
  const { stdout } = host.start(process.execPath, ["-e", server]);
  assert.match(String(await once(stdout ?? assert.fail(), "data")), /listening/);
}

/** Asks and connects without a pause, and tells of every version and failure that it sees. */
function startCalls(host: TestHost) {
  const script = `
    const { Agent, request } = require("node:http");
    const agent = new Agent({ keepAlive: true, maxSockets: 4 });
    let seen = "";
    const ask = () => new Promise((resolve) => {
      request({ host: "10.96.0.5", agent, headers: { host: "web" } }, (response) => {
        const version = response.headers["x-version"];
        if (response.statusCode !== 200) console.log("failed with " + response.statusCode);
        else if (version !== seen) console.log("version " + (seen = version));
        response.resume().once("end", resolve);
      }).once("error", (error) => resolve(console.log("failed by " + error.message))).end();
    });
    const dial = () => new Promise((resolve) => {
      let words = "";
      const socket = require("node:net").connect(5000, "10.96.0.6");
      socket.on("data", (bytes) => { words += bytes; }).once("error", (error) => { words = error.message; });
      socket.once("close", () => {
        console.log(words.startsWith("machine 9090") ? "connected" : "failed to connect: " + words);
        resolve();
      });
    });
    const forever = async (one) => { for (;;) await one(); };
    for (const one of [ask, ask, ask, ask, dial]) forever(one);`;
  let lines: string[] = [];
  let rest = "";
  const child = host.start(process.execPath, ["-e", script], { uid: 1000 });
  (child.stdout ?? assert.fail()).setEncoding("utf8").on("data", (text: string) => {
    const parts = (rest + text).split("\n");
    rest = parts.pop() ?? "";
    lines = lines.concat(parts);
  });
  return () => lines;
}

test("no request or connection fails while the listeners change that take them", {
  skip: netnsMissing() || envoyMissing(),
}, async (t) => {
  const { machine, pod } = await createTestNetwork(t);
  await answerWithName(machine, "machine", [9090]);
  await startWeb(machine);
  const plaintext = { host: "127.0.0.1", port: 0 };
  const controlPlane = await testControlPlane(t, { "mesh.yaml": manifests(machine, 0) }, { plaintext });
  assert.ok(controlPlane.ports.plaintext !== null);
  await runInit(t, pod, []);
  const socketPath = await socketTo(t, controlPlane.ports.plaintext);
  const envoy = await startEnvoyInPod(t, pod, followingBootstrap(socketPath), { asRoot: true });
  const lines = startCalls(pod);
  await until("a request of the first version", () => lines().includes("version 0"));
  for (let version = 1; version <= 12; version++) {
    const next = join(controlPlane.stateDir, "next.yaml");
    await writeFile(next, manifests(machine, version));
    await rename(next, join(controlPlane.dir, "mesh.yaml"));
    await until(`a request of version ${version}`, () => lines().includes(`version ${version}`));
  }
  const connected = lines().filter((line) => line === "connected").length;
  await until("a connection since", () => lines().filter((line) => line === "connected").length > connected);
  assert.deepEqual(
    lines().filter((line) => line.startsWith("failed")),
    [],
  );
  const stats = await envoy.admin("/stats?filter=listener_manager.listener_(modified|in_place_updated)$");
  const changes = [...stats.matchAll(/: (\d+)$/gm)].reduce((sum, [, count]) => sum + Number(count), 0);
  assert.ok(changes >= 12, stats);
});
