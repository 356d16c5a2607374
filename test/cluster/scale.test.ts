import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryPath } from "../support/state.ts";
import { until } from "../support/until.ts";
import { everyIstioKind, installIstioKinds } from "./istio-crds.ts";
import { findKubernetes } from "./programs.ts";
import { startKubernetes } from "./start-kubernetes.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : false;

/** SCALE=10 measures what docs/kubernetes.md promises: 10,000 pods and 1,000 services in 500 MB. */
const SCALE = Number(process.env.SCALE ?? "1");
const PODS = 1000 * SCALE;
const SERVICES = 100 * SCALE;
const PODS_OF_A_SERVICE = PODS / SERVICES;
/** With a tenth of the objects nearly all of it is the program itself. */
const MOST_MB = SCALE >= 10 ? 500 : 350;

test("a cluster's objects fit into the memory that is promised", { skip, timeout: 180_000 }, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, { ...found.programs, controllerManager: null });
  await installIstioKinds(kubernetes, everyIstioKind);
  for (const name of ["shop", "trysail-system"]) {
    await kubernetes.call("POST", "/api/v1/namespaces", { metadata: { name } });
  }
  await kubernetes.call("POST", "/api/v1/namespaces/shop/serviceaccounts", { metadata: { name: "default" } });
  await inParallel(SERVICES, async (i) => {
    const { status } = await kubernetes.call("POST", "/api/v1/namespaces/shop/services", service(i));
    assert.equal(status, 201);
    await kubernetes.call("POST", "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices", endpointSlice(i));
  });
  await inParallel(PODS, async (i) => {
    const { status, body } = await kubernetes.call("POST", "/api/v1/namespaces/shop/pods", pod(i));
    assert.equal(status, 201, JSON.stringify(body));
  });
  const { readyMs, peakMb, listed } = await serve(t, kubernetes.kubeconfig);
  t.diagnostic(
    `${PODS} pods, ${SERVICES} services: ready after ${readyMs.toFixed(0)} ms, ${peakMb.toFixed(0)} MB at most`,
  );
  assert.ok(listed >= SERVICES, `${listed} services are known`);
  assert.ok(peakMb <= MOST_MB, `${peakMb} MB`);
});

/** Starts the program itself, waits until it is ready, and says what that took. */
async function serve(t: TestContext, kubeconfig: string) {
  const stateDir = await temporaryPath(t, "state");
  await mkdir(stateDir, { mode: 0o700 });
  const program = fileURLToPath(new URL("../../src/cli/trysail.ts", import.meta.url));
  const local = ["grpc", "https", "monitoring", "http"].flatMap((name) => [`--${name}-addr`, "127.0.0.1:0"]);
  const began = performance.now();
  const child = spawn(
    process.execPath,
    [program, "serve", "--kubeconfig", kubeconfig, "--state-dir", stateDir, ...local],
    {
      stdio: ["ignore", "ignore", "pipe"],
      cwd: join(stateDir, ".."),
    },
  );
  const ended = new Promise((resolve) => child.once("exit", resolve));
  t.after(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  const ready = await until(
    "the program to be ready, or to end",
    () => /^.*"msg":"ready".*$/m.exec(log)?.[0] ?? (child.exitCode === null ? null : "ended"),
    { timeoutMs: 60_000 },
  );
  assert.notEqual(ready, "ended", log);
  const readyMs = performance.now() - began;
  const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
  const { services } = JSON.parse(ready);
  return { readyMs, peakMb: Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024, listed: Number(services) };
}

async function inParallel(count: number, make: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) await make(next++);
  };
  await Promise.all(Array.from({ length: 16 }, worker));
}

function service(i: number) {
  return {
    metadata: { name: `service-${i}` },
    spec: { selector: { app: `app-${i}` }, ports: [{ name: "http", port: 80 }] },
  };
}

function endpointSlice(i: number) {
  const endpoints = Array.from({ length: PODS_OF_A_SERVICE }, (_, n) => {
    const at = i * PODS_OF_A_SERVICE + n;
    return {
      addresses: [`10.${(at >> 16) & 255}.${(at >> 8) & 255}.${at & 255}`],
      conditions: { ready: true },
      targetRef: { kind: "Pod", namespace: "shop", name: `pod-${at}` },
    };
  });
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: `service-${i}-a`, labels: { "kubernetes.io/service-name": `service-${i}` } },
    addressType: "IPv4",
    ports: [{ name: "http", port: 8080 }],
    endpoints,
  };
}

/** As large as pods are: about 6 kB with what the API server adds. */
function pod(i: number) {
  const app = `app-${Math.floor(i / PODS_OF_A_SERVICE)}`;
  const env = Array.from({ length: 20 }, (_, n) => ({ name: `SETTING_${n}`, value: `${"value ".repeat(8)}${i}` }));
  const probe = { httpGet: { path: "/healthz", port: 8080 }, periodSeconds: 10 };
  const resources = { requests: { cpu: "100m", memory: "128Mi" }, limits: { memory: "256Mi" } };
  const container = {
    image: "registry.example.com/team/app:1.2.3",
    env,
    readinessProbe: probe,
    livenessProbe: probe,
    resources,
  };
  return {
    metadata: {
      name: `pod-${i}`,
      labels: { app, version: "v1", "pod-template-hash": "5d8f7c9b6", "app.kubernetes.io/name": app },
      annotations: {
        "prometheus.io/scrape": "true",
        "kubectl.kubernetes.io/last-applied-configuration": JSON.stringify({ env }),
      },
    },
    spec: {
      containers: [{ name: "app", ports: [{ name: "http", containerPort: 8080 }], ...container }],
      initContainers: [{ name: "migrate", ...container, readinessProbe: undefined, livenessProbe: undefined }],
      volumes: [{ name: "data", emptyDir: {} }],
    },
  };
}
