import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { freePort } from "../support/free-port.ts";
import { temporaryPath } from "../support/state.ts";
import { until } from "../support/until.ts";

const program = fileURLToPath(new URL("../../src/cli/trysail.ts", import.meta.url));
const PATIENT = { timeoutMs: 60_000 };

test("a control plane whose log goes to a full disk starts, follows changes and ends", async (t) => {
  const dir = await temporaryPath(t, "mesh");
  mkdirSync(dir);
  const [http, monitoring] = [await freePort(), await freePort()];
  const addresses = { grpc: 0, https: 0, monitoring, http };
  const full = openSync("/dev/full", "w");
  const args = ["serve", "--config-dir", dir, "--state-dir", await temporaryPath(t, "state"), "--log-level", "debug"];
  const flags = Object.entries(addresses).map(([name, port]) => `--${name}-addr=127.0.0.1:${port}`);
  const child = spawn(process.execPath, [program, ...args, ...flags], { stdio: ["ignore", "ignore", full] });
  closeSync(full);
  const ended = once(child, "exit");
  t.after(() => child.kill("SIGKILL"));
  const page = async (port: number, path: string) => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { signal: AbortSignal.timeout(10_000) });
    return { status: answer.status, text: await answer.text() };
  };

  await until("it to be ready", async () => (await page(http, "/ready")).status === 200, PATIENT);
  const isTold = async () => /^trysail_unmeshed_pods\S* 1$/m.test((await page(monitoring, "/metrics")).text);
  assert.equal(await isTold(), false);
  writeFileSync(join(dir, "shop.yaml"), POD_WITHOUT_SIDECAR);
  await until("the pod to be told of", isTold, PATIENT);
  child.kill("SIGTERM");
  assert.deepEqual(await ended, [0, null]);
});

const POD_WITHOUT_SIDECAR = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec: {containers: [{name: app, image: example.com/app:1}]}
status: {phase: Running}
`;
