import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { envoyMissing } from "../support/envoy.ts";
import { netnsMissing } from "../support/netns.ts";
import { createDevFolder, FIND_PODS } from "./runner.ts";

/** Every protocol the mesh tells apart, called from one injected pod to another under STRICT. */

const skip = netnsMissing() || envoyMissing();
const GRPC = JSON.stringify(fileURLToPath(import.meta.resolve("@grpc/grpc-js")));

const ECHO = `
const asIs = (bytes) => bytes;
const method = (requestStream) => ({
  path: requestStream ? "/test.Echo/Talk" : "/test.Echo/Say", requestStream, responseStream: requestStream,
  requestSerialize: asIs, requestDeserialize: asIs, responseSerialize: asIs, responseDeserialize: asIs,
});
export const service = { say: method(false), talk: method(true) };
`;

const SERVER = `
import { createServer } from "node:http";
import { createServer as createTcpServer } from "node:net";
import grpc from ${GRPC};
import { service } from "./echo.mjs";
createServer((request, response) => {
  response.end(JSON.stringify({ path: request.url, caller: request.headers["x-forwarded-client-cert"] ?? "" }));
}).listen(8000);
createTcpServer((socket) => socket.on("error", () => {}).pipe(socket)).listen(7000);
const server = new grpc.Server();
server.addService(service, {
  say: (call, done) => done(null, Buffer.concat([Buffer.from("said "), call.request])),
  talk: (call) => call.on("data", (data) => call.write(Buffer.concat([Buffer.from("echo "), data]))).on("end", () => call.end()),
});
server.bindAsync("0.0.0.0:9000", grpc.ServerCredentials.createInsecure(), (error) => { if (error) throw error; });
process.on("SIGTERM", () => process.exit(0));
`;

const CALLER = `
import { createServer } from "node:http";
import { connect } from "node:net";
import { once } from "node:events";
import grpc from ${GRPC};
import { service } from "./echo.mjs";
const asIs = (bytes) => bytes;
const client = new grpc.Client("server.shop:9000", grpc.credentials.createInsecure());
const calls = {
  "/http": async () => (await fetch("http://server:80/hello")).json(),
  "/tcp": async () => {
    const socket = connect(7000, "server");
    socket.write("over tcp");
    const [data] = await once(socket, "data");
    socket.end();
    return data.toString();
  },
  "/grpc": () => new Promise((resolve, reject) => {
    client.makeUnaryRequest(service.say.path, asIs, asIs, Buffer.from("hi"), (error, data) => error ? reject(error) : resolve(data.toString()));
  }),
  "/stream": async () => {
    const stream = client.makeBidiStreamRequest(service.talk.path, asIs, asIs);
    const heard = [];
    for (const word of ["one", "two", "three"]) {
      stream.write(Buffer.from(word));
      const [data] = await once(stream, "data");
      heard.push(data.toString());
    }
    stream.end();
    stream.resume();
    await once(stream, "status");
    return heard;
  },
};
createServer(async ({ url }, response) => {
  const answer = url === "/" ? "ok" : await calls[url]().catch((error) => ({ error: String(error.cause ?? error) }));
  response.end(JSON.stringify(answer));
}).listen(8080);
process.on("SIGTERM", () => process.exit(0));
`;

/** Runs on the node, outside the mesh: asks the caller's pod to call, then tries the server's pod in plaintext. */
const ASK = `
import { connect } from "node:net";
${FIND_PODS}
const results = {};
const ask = async (name) => (await fetch("http://" + ip("caller") + ":8080/" + name)).json();
// A proxy is told of a ready pod a moment later, as in any cluster.
for (let left = 300; left > 0 && "error" in (await ask("http")); left--) await new Promise((resolve) => setTimeout(resolve, 100));
for (const name of ["http", "tcp", "grpc", "stream"]) results[name] = await ask(name);
const refused = (port, hello) => new Promise((resolve) => {
  const socket = connect(port, ip("server"), () => socket.write(hello));
  socket.on("data", (data) => { resolve("answered " + data); socket.destroy(); });
  socket.on("error", () => resolve("refused"));
  socket.on("close", () => resolve("refused"));
});
results.plaintext = [];
for (const [port, hello] of [[8000, "GET / HTTP/1.0\\r\\n\\r\\n"], [7000, "plain words"], [9000, "PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n"]]) {
  results.plaintext.push(await refused(port, hello));
}
console.log("RESULT " + JSON.stringify(results));
`;

const workload = (name: string, port: number) => `
apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name}, namespace: shop }
spec:
  selector: { matchLabels: { app: ${name} } }
  template:
    metadata: { labels: { app: ${name} } }
    spec:
      terminationGracePeriodSeconds: 2
      containers:
        - name: ${name}
          image: test/${name}:1
          readinessProbe: { httpGet: { path: /, port: ${port} }, periodSeconds: 1 }
---`;

const MANIFESTS = `
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { istio-injection: enabled } }
---
apiVersion: v1
kind: Service
metadata: { name: server, namespace: shop }
spec:
  selector: { app: server }
  ports:
    - { name: http, port: 80, targetPort: 8000 }
    - { name: tcp-echo, port: 7000 }
    - { name: grpc, port: 9000 }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: shop }
spec: { mtls: { mode: STRICT } }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: caller, namespace: shop }
spec: { selector: { matchLabels: { app: caller } }, mtls: { mode: PERMISSIVE } }
---${workload("server", 8000)}${workload("caller", 8080)}
`;

test("HTTP, TCP and gRPC cross the mesh under STRICT, and plaintext to the same ports does not", {
  skip,
}, async (t) => {
  const dev = createDevFolder(t);
  dev.write("mesh.yaml", MANIFESTS);
  dev.write("echo.mjs", ECHO);
  dev.write("server.mjs", SERVER);
  dev.write("caller.mjs", CALLER);
  dev.write("ask.mjs", ASK);
  const images = ["server", "caller"].map((name) => `  test/${name}:1: { command: [node, ${name}.mjs] }`);
  dev.write("images.yaml", `images:\n${images.join("\n")}\n`);
  const { code, stdout, stderr } = await dev.start("--once", "--", "node", `${dev.folder}/ask.mjs`).exited;
  assert.equal(code, 0, stdout + stderr);
  const result = JSON.parse(/^RESULT (.*)$/m.exec(stdout)?.[1] ?? "null");
  assert.equal(result.http.path, "/hello");
  assert.match(result.http.caller, /URI=spiffe:\/\/cluster\.local\/ns\/shop\/sa\/default/);
  assert.equal(result.tcp, "over tcp");
  assert.equal(result.grpc, "said hi");
  assert.deepEqual(result.stream, ["echo one", "echo two", "echo three"]);
  assert.deepEqual(result.plaintext, ["refused", "refused", "refused"]);
});
