import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { envoyMissing } from "../support/envoy.ts";
import { netnsMissing } from "../support/netns.ts";
import { createDevFolder, FIND_PODS } from "./runner.ts";

/** A mesh on one machine that limits requests by a service of its own, every hop of it under STRICT. */

const skip = netnsMissing() || envoyMissing();
const PROGRAM = JSON.stringify(fileURLToPath(new URL("../../src/cli/trysail.ts", import.meta.url)));

const workload = (name: string, namespace: string, port: number, probe: string) => `
apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  selector: { matchLabels: { app: ${name} } }
  template:
    metadata: { labels: { app: ${name} } }
    spec:
      terminationGracePeriodSeconds: 2
      containers:
        - name: ${name}
          image: test/${name}
          readinessProbe: { httpGet: { path: ${probe}, port: ${port} }, periodSeconds: 1 }
---
apiVersion: v1
kind: Namespace
metadata: { name: ${namespace}, labels: { istio-injection: enabled } }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: ${namespace} }
spec: { mtls: { mode: STRICT } }
---`;

const MANIFESTS = `
apiVersion: v1
kind: Service
metadata: { name: server, namespace: shop }
spec: { selector: { app: server }, ports: [{ name: http, port: 80, targetPort: 8000 }] }
---
apiVersion: v1
kind: Service
metadata: { name: trysail-ratelimit, namespace: trysail-ratelimit }
spec: { selector: { app: trysail-ratelimit }, ports: [{ name: grpc, port: 8081 }] }
---
apiVersion: trysail.dev/v1alpha1
kind: RateLimit
metadata: { name: server, namespace: shop }
spec:
  selector: { matchLabels: { app: server } }
  requests: [{ name: quota, scope: GLOBAL, rate: { amount: 3, unit: MONTH }, by: [{ attribute: IDENTITY }] }]
  # Without the service, every request would be refused.
  service: { failureMode: DENY, timeout: 10s }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: caller, namespace: caller }
spec: { selector: { matchLabels: { app: caller } }, mtls: { mode: PERMISSIVE } }
---${workload("server", "shop", 8000, "/")}${workload("caller", "caller", 8080, "/")}
${workload("trysail-ratelimit", "trysail-ratelimit", 15014, "/ready")}
`;

const SERVER = `
import { createServer } from "node:http";
createServer((_, response) => response.end("served")).listen(8000);
process.on("SIGTERM", () => process.exit(0));
`;

const CALLER = `
import { createServer } from "node:http";
const call = () => fetch("http://server.shop/").then(({ status }) => status, () => 0);
createServer(async ({ url }, response) => {
  const statuses = [];
  if (url === "/call") {
    // Proxies are told of a ready pod a moment later, as in any cluster; what does not come through is not counted.
    for (let left = 300; left > 0; left--) {
      statuses[0] = await call();
      if (statuses[0] !== 0 && statuses[0] < 500) break;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    while (statuses.length < 5) statuses.push(await call());
  }
  response.end(JSON.stringify(statuses));
}).listen(8080);
process.on("SIGTERM", () => process.exit(0));
`;

const ASK = `
${FIND_PODS}
console.log("RESULT " + await (await fetch("http://" + ip("caller") + ":8080/call")).text());
`;

test("trysail dev runs a mesh whose requests are counted by a service in it, under STRICT", { skip }, async (t) => {
  const dev = createDevFolder(t);
  dev.write("mesh.yaml", MANIFESTS);
  dev.write("server.mjs", SERVER);
  dev.write("caller.mjs", CALLER);
  dev.write("ask.mjs", ASK);
  dev.write(
    "images.yaml",
    `images:
  test/server: { command: [node, server.mjs] }
  test/caller: { command: [node, caller.mjs] }
  test/trysail-ratelimit: { command: [node, ${PROGRAM}, ratelimit, --in-memory, --config-dir, .] }
`,
  );
  const { code, stdout, stderr } = await dev.start("--once", "--", "node", `${dev.folder}/ask.mjs`).exited;
  assert.equal(code, 0, stdout + stderr);
  assert.deepEqual(JSON.parse(/^RESULT (.*)$/m.exec(stdout)?.[1] ?? "null"), [200, 200, 200, 429, 429]);
});
