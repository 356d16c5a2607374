import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { buildBootstrap } from "../../src/init/bootstrap.ts";
import type { AppProbers } from "../../src/injection/pod-contract.ts";
import { bootstrapInput } from "../support/bootstrap-input.ts";
import { envoyMissing } from "../support/envoy.ts";
import { startEnvoyInPod } from "../support/envoy-in-pod.ts";
import { runInit } from "../support/intercepted-pod.ts";
import { createTestNetwork, netnsMissing, type TestHost } from "../support/netns.ts";
import { temporaryPath } from "../support/state.ts";
import { until } from "../support/until.ts";

/** The status port of a pod whose traffic is intercepted, asked from outside as a kubelet does. */

const skip = netnsMissing() || envoyMissing();

const probers: AppProbers = {
  "/app-health/web/readyz": { httpGet: { port: 8080, path: "/ready" }, timeoutSeconds: 20 },
  "/app-health/web/livez": { tcpSocket: { port: 8080 }, periodSeconds: 1 },
  "/app-health/hidden/readyz": { httpGet: { port: 7000 } },
  "/app-health/hidden/livez": { tcpSocket: { port: 7000 }, periodSeconds: 1 },
  "/app-lifecycle/web/prestopz": { httpGet: { port: 8080, path: "/slow" } },
};

for (const family of ["ipv4", "ipv6"] as const) {
  test(`with ${family}, probes reach the app past the rules, at the pod's own address`, { skip }, async (t) => {
    const { machine, pod } = await createTestNetwork(t);
    await startApps(pod, family === "ipv4" ? "127.0.0.1" : "::1");
    await runInit(t, pod, []);
    // No listener is on 15006, so what the rules took for inbound would be refused.
    const { dynamicResources: _, admin: __, ...config } = bootstrapOf(pod[family]);
    await startEnvoyInPod(t, pod, config);
    const host = family === "ipv4" ? pod.ipv4 : `[${pod.ipv6}]`;
    const ask = (path: string) => machine.run("curl", ["-s", "-w", " %{http_code}", `http://${host}:15021${path}`]);

    const seenFrom = family === "ipv4" ? "127.0.0.6" : "::6";
    assert.equal(await ask("/app-health/web/readyz"), `GET /ready ${host}:8080 from ${seenFrom} 200`);
    await until("the app to be seen", async () => (await ask("/app-health/web/livez")).endsWith("200"));
    assert.match(
      await ask("/app-health/hidden/readyz"),
      /503$/,
      "an app on loopback is as unready as without the mesh",
    );
    assert.match(await ask("/app-health/hidden/livez"), /503$/);
    assert.match(await ask("/app-lifecycle/web/prestopz"), /^GET \/slow .* 200$/, "a hook may take its time");
  });
}

test("a pod's own choice of a status port answers for health, probes and metrics, and its app has 15020", {
  skip,
}, async (t) => {
  const { machine, pod } = await createTestNetwork(t);
  await startApps(pod, "127.0.0.1");
  const file = await temporaryPath(t, "envoy.json");
  await runInit(t, pod, ["--status-port=16000", `--bootstrap=${file}`], {
    env: {
      PROXY_CONFIG: JSON.stringify({ discoveryAddress: "localhost:1", statusPort: 16_000 }),
      ISTIO_KUBE_APP_PROBERS: JSON.stringify(probers),
      ISTIO_META_INTERCEPTION_MODE: "REDIRECT",
    },
  });
  const { dynamicResources: _, admin: __, ...config } = JSON.parse(readFileSync(file, "utf8"));
  await startEnvoyInPod(t, pod, config);
  const ask = (port: number, path: string) =>
    machine.run("curl", ["-s", "-o", "/dev/null", "-w", "%{http_code}", `http://${pod.ipv4}:${port}${path}`]);

  for (const port of [16_000, 15_021]) {
    assert.equal(await ask(port, "/healthz/ready"), "200", `health on ${port}`);
    assert.equal(await ask(port, "/app-health/web/readyz"), "200", `an HTTP probe on ${port}`);
    assert.equal(await ask(port, "/app-health/hidden/readyz"), "503", `one of an app that is not there on ${port}`);
    await until("the app to be seen", async () => (await ask(port, "/app-health/web/livez")) === "200");
    assert.equal(await ask(port, "/app-health/hidden/livez"), "503", `a TCP probe of it on ${port}`);
  }
  assert.equal(await ask(16_000, "/stats/prometheus"), "200");
  assert.equal(await ask(15_021, "/stats/prometheus"), "404");
  // As any port of the app: what comes to it goes to 15006, where nobody listens here.
  assert.equal(await ask(15_020, "/").catch(() => "refused"), "refused");
  const rules = await pod.run("iptables-save", ["-t", "nat"]);
  assert.match(rules, /--dport 16000 -j RETURN/);
  assert.doesNotMatch(rules, /--dport 15020 /);
});

function bootstrapOf(ipAddress: string) {
  const ports = { admin: 15000, status: 15021, metrics: 15090, mergedMetrics: 0 };
  return buildBootstrap(bootstrapInput({ ipAddress, interceptionMode: "REDIRECT", probers, ports }));
}

/** One app on every address, and one on `loopback` alone. `/slow` takes longer than a probe may by default. */
async function startApps(pod: TestHost, loopback: string): Promise<void> {
  const server = `
    const { createServer } = require("node:http");
    const app = ({ method, url, headers, socket }, response) => {
      const answer = [method, url, headers.host, "from", socket.remoteAddress.replace("::ffff:", "")].join(" ");
      setTimeout(() => response.end(answer), url === "/slow" ? 1500 : 0);
    };
    createServer(app).listen(8080, "::", () => createServer(app).listen(7000, "${loopback}", () => console.log("up")));`;
  const { stdout } = pod.start(process.execPath, ["-e", server]);
  assert.match(String(await once(stdout ?? assert.fail(), "data")), /up/);
}
