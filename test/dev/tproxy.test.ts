import assert from "node:assert/strict";
import { once } from "node:events";
import { get as httpGet } from "node:http";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { envoyMissing } from "../support/envoy.ts";
import { freePort } from "../support/free-port.ts";
import { netnsMissing } from "../support/netns.ts";
import { until } from "../support/until.ts";
import { createDevFolder, isReady } from "./runner.ts";

/** The interception mode that keeps callers' addresses, from the annotation to the app. */

const skip = netnsMissing() || envoyMissing();

const APP = `
import { createServer } from "node:http";
createServer(async ({ url, socket }, response) => {
  const answer = url === "/" ? { ip: process.env.IP, sees: socket.remoteAddress.replace("::ffff:", "") }
    : await fetch("http://" + url.slice(1)).then((found) => found.json()).catch((error) => ({ error: String(error) }));
  response.end(JSON.stringify(answer));
}).listen(8000);
process.on("SIGTERM", () => process.exit(0));
`;

function manifests(): string {
  const app = (name: string, mode: string) => `
---
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: shop }
spec: { selector: { app: ${name} }, ports: [{ name: http, port: 80, targetPort: 8000 }] }
---
apiVersion: v1
kind: Pod
metadata: { name: ${name}, namespace: shop, labels: { app: ${name} }, annotations: { sidecar.istio.io/interceptionMode: ${mode} } }
spec:
  terminationGracePeriodSeconds: 2
  containers:
    - name: app
      image: test/app
      env: [{ name: IP, valueFrom: { fieldRef: { fieldPath: status.podIP } } }]
      readinessProbe: { httpGet: { path: /, port: 8000 }, periodSeconds: 1 }`;
  return `
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { istio-injection: enabled } }${app("keeps", "TPROXY")}${app("hides", "REDIRECT")}
`;
}

test("an app behind TPROXY sees who calls it, through two sidecars and mutual TLS", { skip }, async (t) => {
  const dev = createDevFolder(t);
  dev.write("app.mjs", APP);
  dev.write("images.yaml", "images:\n  test/app: { command: [node, app.mjs] }\n");
  dev.write("all.yaml", manifests());
  const port = await freePort();
  dev.start("--no-host-ports", "--expose", `hides.shop:80=${port}`);
  const ask = async (path: string) => {
    const [response] = await once(httpGet(`http://127.0.0.1:${port}${path}`, { agent: false }), "response");
    return JSON.parse(await text(response));
  };
  await until("both pods to be ready", () => ["keeps", "hides"].every((app) => dev.pods(app).some(isReady)), {
    timeoutMs: 60_000,
  });
  const [keeps] = dev.pods("keeps");
  const [hides] = dev.pods("hides");
  // A proxy is told of a ready pod a moment later, as in any cluster.
  const viaMesh = await until("the route", async () => {
    const answer = await ask("/keeps");
    return answer.error === undefined && answer;
  });
  assert.deepEqual(viaMesh, { ip: keeps?.status.podIP, sees: hides?.status.podIP });
  assert.deepEqual(await ask("/"), { ip: hides?.status.podIP, sees: "127.0.0.6" }, "redirected, it sees its own proxy");
});
