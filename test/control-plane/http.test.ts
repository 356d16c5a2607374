import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { rename, rm, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import type { Finding } from "../../src/mesh/finding.ts";
import { type TestControlPlane, testControlPlane } from "../support/control-plane.ts";
import { temporaryPath } from "../support/state.ts";
import { until } from "../support/until.ts";

const HOUR_MS = 3_600_000;

async function findings(mesh: TestControlPlane, namespace = "trysail-system"): Promise<Finding[]> {
  const token = await mesh.issuer.issue({ namespace, serviceAccount: "default", ttlMs: HOUR_MS });
  const response = await fetch(`http://127.0.0.1:${mesh.ports.http}/debug/findings`, {
    headers: { authorization: `Bearer ${token}` },
  });
  assert.equal(response.status, 200);
  return (await response.json()) as Finding[];
}

const service = (name: string, namespace = "shop") =>
  `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec: {ports: [{name: http, port: 80}], clusterIP: 10.96.0.10}\n`;

test("debug pages ask for a workload token and show each namespace its own", async (t) => {
  const broken = (namespace: string) => service("cart", namespace).replace("port: 80", "port: eighty");
  const mesh = await testControlPlane(t, { "a.yaml": `${broken("shop")}---\n${broken("bank")}` });
  const url = `http://127.0.0.1:${mesh.ports.http}/debug/findings`;
  assert.equal((await fetch(url)).status, 401);
  assert.equal((await fetch(url, { headers: { authorization: "Bearer nonsense" } })).status, 401);
  const seen = async (as: string) => new Set((await findings(mesh, as)).map(({ object }) => object?.namespace));
  assert.deepEqual(await seen("trysail-system"), new Set(["shop", "bank"]));
  assert.deepEqual(await seen("bank"), new Set(["bank"]));
  assert.deepEqual(await seen("elsewhere"), new Set());
});

test("readiness and metrics answer", async (t) => {
  const mesh = await testControlPlane(t, {});
  const ready = await fetch(`http://127.0.0.1:${mesh.ports.http}/ready`);
  assert.deepEqual([ready.status, await ready.json()], [200, { ready: true, reason: null }]);
  const metrics = await (await fetch(`http://127.0.0.1:${mesh.ports.monitoring}/metrics`)).text();
  for (const name of ["trysail_xds_proxies", "trysail_injection_reviews_total", "nodejs_eventloop_lag_p99_seconds"]) {
    assert.match(metrics, new RegExp(`^# HELP ${name} `, "m"));
  }
});

test("bad configuration is a finding, and nothing else is lost", async (t) => {
  const mesh = await testControlPlane(t, { "good.yaml": service("cart") });
  assert.deepEqual(await findings(mesh), []);
  const write = (name: string, text: string) => writeFile(join(mesh.dir, name), text);
  const code = (wanted: string) => until(wanted, async () => (await findings(mesh)).find((f) => f.code === wanted));

  await write("malformed.yaml", "kind: [unclosed\n");
  const malformed = await code("document-malformed");
  assert.match(malformed.origin?.file ?? "", /malformed\.yaml$/);

  await write("large.yaml", `${service("large")}# ${"x".repeat(5 * 1024 * 1024)}\n`);
  await code("document-too-large");

  await write("good.yaml", service("cart").replace("port: 80", "port: -1"));
  const invalid = await code("schema-invalid");
  assert.deepEqual(invalid.object, { kind: "Service", namespace: "shop", name: "cart" });
  assert.equal(invalid.field, "spec.ports[0].port");

  await rename(mesh.dir, `${mesh.dir}-away`);
  await code("source-unreadable");
  await rename(`${mesh.dir}-away`, mesh.dir);
  for (const name of ["malformed.yaml", "large.yaml"]) await rm(join(mesh.dir, name));
  await write("good.yaml", service("cart"));
  await until("no findings", async () => (await findings(mesh)).length === 0);
});

test("oversized and malformed requests to the webhook port are refused, and it goes on", async (t) => {
  const mesh = await testControlPlane(t, {});
  const ca = readFileSync(mesh.rootPath);
  const post = (body: string | Buffer) =>
    new Promise<number>((resolve, reject) => {
      const options = { port: mesh.ports.https, host: "localhost", path: "/inject", method: "POST", ca };
      const req = request({ ...options, headers: { "content-type": "application/json" } }, (res) => {
        res.resume().on("end", () => resolve(res.statusCode ?? 0));
      });
      req.on("error", reject);
      req.end(body);
    });
  assert.equal(await post(Buffer.alloc(5 * 1024 * 1024, "a")), 413);
  assert.equal(await post("{}"), 400);
  assert.equal(await post("[".repeat(100_000)), 400);
});

for (const flag of ["--grpc-addr", "--plaintext-addr", "--https-addr", "--monitoring-addr", "--http-addr"]) {
  test(`a port in use is named with ${flag}, which chose it, and the process ends`, async (t) => {
    const taken = createServer().listen(0, "127.0.0.1");
    t.after(() => taken.close());
    await until("the port", () => taken.listening);
    const address = taken.address();
    const port = typeof address === "object" ? address?.port : undefined;
    const state = await temporaryPath(t, "state");
    const others = ["--grpc-addr", "--https-addr", "--monitoring-addr", "--http-addr"].filter((name) => name !== flag);
    const run = promisify(execFile)(process.execPath, [
      "src/cli/trysail.ts",
      "serve",
      `--config-dir=${import.meta.dirname}`,
      `--state-dir=${state}`,
      // Whatever else goes on meanwhile is logged besides, and may be so last.
      "--log-level=error",
      ...others.map((name) => `${name}=127.0.0.1:0`),
      `${flag}=127.0.0.1:${port}`,
    ]);
    await assert.rejects(run, (error: Error & { code?: number; stderr?: string }) => {
      assert.equal(error.code, 1);
      const line = `trysail: cannot listen on 127.0.0.1:${port}: the port is in use (${flag} chooses another)\n`;
      assert.equal(error.stderr, line);
      return true;
    });
  });
}

test("what is refused on the debug port is told as the caller's mistake", async (t) => {
  const mesh = await testControlPlane(t, {});
  const url = `http://127.0.0.1:${mesh.ports.http}/debug/findings`;
  const answer = async (init: RequestInit) => {
    const response = await fetch(url, init);
    return [response.status, typeof ((await response.json()) as { error?: unknown }).error];
  };
  const headers = { "content-type": "application/json" };
  assert.deepEqual(await answer({ method: "POST", headers, body: "a".repeat(100_000) }), [413, "string"]);
  assert.deepEqual(await answer({ method: "POST", headers, body: "{" }), [400, "string"]);
});

test("what is not there is told in the same words on every port", async (t) => {
  const mesh = await testControlPlane(t, {});
  const ca = readFileSync(mesh.rootPath);
  const secure = await new Promise((resolve, reject) => {
    const asking = request(
      { port: mesh.ports.https, host: "localhost", path: "/v1/nothing", ca, agent: false },
      (res) => {
        res.setEncoding("utf8").once("data", (body: string) => resolve([res.statusCode, JSON.parse(body)]));
      },
    );
    asking.on("error", reject);
    asking.end();
  });
  const plain = [mesh.ports.http, mesh.ports.monitoring].map(async (port) => {
    const answer = await fetch(`http://127.0.0.1:${port}/nothing`);
    return [answer.status, await answer.json()];
  });
  for (const answer of [secure, ...(await Promise.all(plain))]) assert.deepEqual(answer, [404, { error: "not found" }]);
});

test("findings go by the mesh's own settings", async (t) => {
  const policy = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: cart, namespace: ops }
spec: { selector: { matchLabels: { app: cart } } }
`;
  const pod = `apiVersion: v1
kind: Pod
metadata: { name: cart, namespace: shop, labels: { app: cart } }
spec: { containers: [{ name: cart }] }
`;
  const settings = `apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: trysail-system }
data: { mesh: "rootNamespace: ops" }
`;
  const local = await testControlPlane(t, { "mesh.yaml": `${policy}---\n${pod}` });
  assert.deepEqual(
    (await findings(local)).map(({ code }) => code),
    ["reference-missing"],
  );
  const meshWide = await testControlPlane(t, { "mesh.yaml": `${policy}---\n${pod}---\n${settings}` });
  assert.deepEqual(await findings(meshWide), []);
});
