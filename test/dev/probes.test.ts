import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { envoyMissing } from "../support/envoy.ts";
import { netnsMissing } from "../support/netns.ts";
import { openssl } from "../support/openssl.ts";
import { until } from "../support/until.ts";
import { createDevFolder } from "./runner.ts";

/**
 * Probes as a kubelet runs them, from outside the pod and without a certificate, against real apps behind real sidecars
 * that accept mutual TLS only.
 */

const skip = netnsMissing() || envoyMissing();
const READY = { timeoutMs: 60_000 };

/** Serves as its argument says for as long as no file `/switch/NAME` is there, and writes down what it is asked. */
const APP = `
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { createServer as createWeb } from "node:https";
import { createServer as createRpc } from "node:http2";
const [, , name, port] = process.argv;
const note = (text) => appendFileSync("/switch/" + name + ".log", text + "\\n");
const isDown = () => existsSync("/switch/" + name);
const make = {
  tcp: () => createServer((socket) => socket.on("error", () => {}).end()),
  cache: () => createServer((socket) => socket.on("error", () => {}).end()),
  web: () => createWeb({ key: readFileSync("/switch/key.pem"), cert: readFileSync("/switch/cert.pem") }, (request, response) => {
    note([request.method, request.url, request.headers.host, request.headers["x-probe"]].join(" "));
    response.statusCode = isDown() ? 500 : 200;
    response.end();
  }),
  rpc: () => createRpc().on("stream", (stream, headers) => {
    let body = Buffer.alloc(0);
    stream.on("data", (chunk) => { body = Buffer.concat([body, chunk]); });
    stream.on("end", () => {
      note(headers[":path"] + " " + body.subarray(7));
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      stream.end(Buffer.from([0, 0, 0, 0, 2, 8, isDown() ? 2 : 1]));
    });
  }),
}[name];
let server;
setInterval(() => {
  // An HTTP or gRPC app says that it is unwell; one that only listens stops doing so.
  const wanted = name === "web" || name === "rpc" || !isDown();
  if (wanted && server === undefined) server = make().listen(Number(port));
  if (!wanted && server !== undefined) { server.close(); server = undefined; }
}, 50);
process.on("SIGTERM", () => process.exit(0));
`;

function manifests(switches: string, annotations: string): string {
  const container = (name: string, port: number, more: string) => `
    - name: ${name}
      image: test/app
      args: [${name}, "${port}"]
      ports: [{ name: ${name}, containerPort: ${port} }]
      volumeMounts: [{ name: switch, mountPath: /switch }]
${more.replace(/^/gm, "      ")}`;
  // A slow answer is none of the failures that are meant: on a machine with much to do it is not worth one.
  const timing = "periodSeconds: 1, timeoutSeconds: 10, failureThreshold: 1";
  return `
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { istio-injection: enabled } }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: shop }
spec: { mtls: { mode: STRICT } }
---
apiVersion: v1
kind: Pod
metadata: { name: mixed, namespace: shop, labels: { app: mixed }, annotations: ${annotations} }
spec:
  terminationGracePeriodSeconds: 5
  volumes: [{ name: switch, hostPath: { path: ${switches} } }]
  initContainers:${container("cache", 7001, `restartPolicy: Always\nstartupProbe: { tcpSocket: { port: cache }, periodSeconds: 1, failureThreshold: 60 }`)}
  containers:${container("tcp", 7002, `readinessProbe: { tcpSocket: { port: tcp }, ${timing} }`)}${container(
    "rpc",
    7003,
    `readinessProbe: { grpc: { port: 7003, service: shop.Cart }, ${timing} }`,
  )}${container(
    "web",
    7004,
    `readinessProbe: { httpGet: { port: web, path: "/ready?deep=1", scheme: HTTPS, httpHeaders: [{ name: Host, value: shop.example }, { name: X-Probe, value: "yes" }] }, ${timing} }
livenessProbe: { tcpSocket: { port: web }, periodSeconds: 1, timeoutSeconds: 10 }
lifecycle: { preStop: { httpGet: { port: web, path: /bye, scheme: HTTPS } } }`,
  )}
`;
}

test("under strict mutual TLS every kind of probe says what the app says, and hooks reach it", { skip }, async (t) => {
  const { run, switches, container } = await start(t, "{}");
  const turn = (name: string, on: boolean) =>
    on ? rmSync(join(switches, name)) : writeFileSync(join(switches, name), "");
  const names = ["tcp", "rpc", "web"];

  await until("every container to be ready", () => names.every((name) => container(name)?.ready), READY);
  for (const name of names) {
    turn(name, false);
    await until(`${name} to be seen dead`, () => container(name)?.ready === false, READY);
    for (const other of names) assert.equal(container(other)?.ready, other !== name, other);
    turn(name, true);
    await until(`${name} to be seen again`, () => container(name)?.ready === true, READY);
  }
  assert.equal(container("web")?.restartCount, 0, "its liveness never failed");

  run.child.kill("SIGTERM");
  await run.exited;
  const asked = (name: string) => readFileSync(join(switches, `${name}.log`), "utf8");
  assert.match(asked("web"), /^GET \/ready\?deep=1 shop\.example yes$/m);
  assert.match(asked("web"), /^GET \/bye [0-9.]+:7004 /m);
  assert.match(asked("rpc"), /^\/grpc\.health\.v1\.Health\/Check shop\.Cart$/m);
});

test("without the rewriting, the proxy answers in place of some apps, and turns away the kubelet's other probes", {
  skip,
}, async (t) => {
  const { switches, container } = await start(t, '{ sidecar.istio.io/rewriteAppHTTPProbers: "false" }', ["tcp"]);
  await until("the TCP probe to succeed", () => container("tcp")?.ready === true, READY);
  assert.ok(existsSync(join(switches, "tcp")), "though nothing listens");
  assert.deepEqual([container("rpc")?.ready, container("web")?.ready], [false, false]);
});

/** A run of the pod. Apps in `down` are not well from the start. */
async function start(t: TestContext, annotations: string, down: readonly string[] = []) {
  const dev = createDevFolder(t);
  const switches = join(dev.state, "..", "switch");
  mkdirSync(switches);
  for (const name of down) writeFileSync(join(switches, name), "");
  const [key, cert] = [join(switches, "key.pem"), join(switches, "cert.pem")];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  await openssl("req", "-x509", ...curve, "-subj", "/CN=web", "-days", "1", "-keyout", key, "-out", cert);
  dev.write("app.mjs", APP);
  dev.write("images.yaml", "images:\n  test/app: { command: [node, app.mjs] }\n");
  dev.write("all.yaml", manifests(switches, annotations));
  const run = dev.start("--no-host-ports");
  const container = (name: string) => dev.pods("mixed")[0]?.status.containerStatuses.find((one) => one.name === name);
  return { run, switches, container };
}
