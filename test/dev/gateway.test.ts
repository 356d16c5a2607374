import assert from "node:assert/strict";
import { test } from "node:test";
import { get } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { freePort } from "../support/free-port.ts";
import { netnsMissing } from "../support/netns.ts";
import { until } from "../support/until.ts";
import { createDevFolder, isReady } from "./runner.ts";

/** A gateway on one machine: a pod that is an Envoy, as its annotation asks for, in front of injected ones. */

const skip = netnsMissing() || envoyMissing();

const SERVER = `
import { createServer, get } from "node:http";
createServer(({ url, headers }, response) => {
  const news = { host: "192.0.2.1", headers: { host: "news.example.org" }, path: "/headlines" };
  if (url === "/news") return get(news, (answer) => answer.pipe(response)).on("error", () => response.destroy());
  response.end(JSON.stringify({ url, caller: headers["x-forwarded-client-cert"] ?? "", by: headers["x-left-by"] }));
}).listen(8000);
process.on("SIGTERM", () => process.exit(0));
`;

const MANIFESTS = `
apiVersion: v1
kind: Namespace
metadata: { name: ingress, labels: { istio-injection: enabled } }
---
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { istio-injection: enabled } }
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: edge, namespace: ingress }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: edge, namespace: ingress }
spec:
  selector: { matchLabels: { app: edge } }
  template:
    metadata:
      labels: { app: edge, istio: ingress }
      annotations: { inject.istio.io/templates: gateway }
    spec:
      serviceAccountName: edge
      containers: [{ name: istio-proxy, image: auto }]
---
apiVersion: v1
kind: Service
metadata: { name: edge, namespace: ingress }
spec:
  selector: { app: edge }
  ports: [{ name: http, port: 80, targetPort: 8080 }, { name: https, port: 443, targetPort: 8443 }]
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: shop }
spec:
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec: { containers: [{ name: web, image: test/server, ports: [{ containerPort: 8000 }] }] }
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec: { selector: { app: web }, ports: [{ name: http, port: 80, targetPort: 8000 }] }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: all, namespace: shop }
spec: { mtls: { mode: STRICT } }
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: public, namespace: ingress }
spec:
  selector: { istio: ingress }
  servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: [shop/shop.test] }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: web, namespace: shop }
spec: { hosts: [shop.test], gateways: [ingress/public], http: [{ route: [{ destination: { host: web } }] }] }
`;

/** What is outside of the mesh, and the way there: sidecars send it to the gateway by mutual TLS, and only that goes out. */
const EGRESS = `
---
apiVersion: v1
kind: Namespace
metadata: { name: outside }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: news, namespace: outside }
spec:
  selector: { matchLabels: { app: news } }
  template:
    metadata: { labels: { app: news } }
    spec: { containers: [{ name: news, image: test/server, ports: [{ containerPort: 8000 }] }] }
---
apiVersion: v1
kind: Service
metadata: { name: news, namespace: outside }
spec: { selector: { app: news }, ports: [{ name: http, port: 80, targetPort: 8000 }] }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: news, namespace: shop }
spec:
  hosts: [news.example.org]
  ports: [{ number: 80, name: http, protocol: HTTP }]
  resolution: DNS
  endpoints: [{ address: news.outside.svc.cluster.local }]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: egress, namespace: shop }
spec:
  selector: { istio: ingress }
  servers:
    - { port: { number: 443, name: https, protocol: HTTPS }, hosts: [./news.example.org], tls: { mode: ISTIO_MUTUAL } }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: egress, namespace: shop }
spec:
  host: edge.ingress.svc.cluster.local
  subsets: [{ name: news, trafficPolicy: { tls: { mode: ISTIO_MUTUAL, sni: news.example.org } } }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: news, namespace: shop }
spec:
  hosts: [news.example.org]
  gateways: [mesh, egress]
  http:
    - match: [{ gateways: [mesh], port: 80 }]
      route: [{ destination: { host: edge.ingress.svc.cluster.local, subset: news, port: { number: 443 } } }]
    - match: [{ gateways: [egress], port: 443 }]
      route: [{ destination: { host: news.example.org, port: { number: 80 } } }]
      headers: { request: { set: { x-left-by: egress } } }
`;

test("a gateway pod takes callers from outside of the mesh into it, and callers of the mesh out of it, by mutual TLS", {
  skip,
}, async (t) => {
  const dev = createDevFolder(t);
  dev.write("server.mjs", SERVER);
  dev.write("images.yaml", "images:\n  test/server: { command: [node, server.mjs] }\n");
  dev.write("all.yaml", MANIFESTS + EGRESS);
  const port = await freePort();
  dev.start("--no-host-ports", "--expose", `edge.ingress:80=${port}`);
  for (const app of ["web", "edge", "news"]) {
    await until(`a ready pod ${app}`, () => dev.pods(app).some(isReady), { timeoutMs: 60_000 });
  }
  const answer = await until("an answer through the gateway", async () => {
    const found = await get(port, { path: "/hello", headers: { host: "shop.test" } }).catch(() => null);
    return found?.status === 200 ? found : undefined;
  });
  const { url, caller } = JSON.parse(answer.body);
  assert.equal(url, "/hello");
  assert.match(caller, /URI=spiffe:\/\/cluster\.local\/ns\/ingress\/sa\/edge/);
  assert.equal((await get(port, { path: "/", headers: { host: "other.test" } })).status, 404);

  const left = await until("an answer from outside", async () => {
    const found = await get(port, { path: "/news", headers: { host: "shop.test" } }).catch(() => null);
    return found?.body.includes("headlines") ? found : undefined;
  });
  const outside = JSON.parse(left.body);
  assert.deepEqual([outside.url, outside.by], ["/headlines", "egress"]);
  assert.match(outside.caller, /URI=spiffe:\/\/cluster\.local\/ns\/shop\/sa\/default/, "the gateway knew who called");
});
