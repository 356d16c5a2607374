import assert from "node:assert/strict";
import { once } from "node:events";
import { get as httpGet } from "node:http";
import { createServer } from "node:net";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { envoyMissing } from "../support/envoy.ts";
import { freePort } from "../support/free-port.ts";
import { netnsMissing } from "../support/netns.ts";
import { until } from "../support/until.ts";
import { createDevFolder, type DevFolder, isReady, machineState, processesWith } from "./runner.ts";

/** `trysail dev` on folders whose namespaces are not injected: the runner and the webhook, without a sidecar's doing. */

const skip = netnsMissing() || envoyMissing();
const READY = { timeoutMs: 60_000 };

const SERVER = `
import { createServer } from "node:http";
import { hostname } from "node:os";
createServer(async ({ url }, response) => {
  if (!url.startsWith("/call/")) return response.end(JSON.stringify({ host: hostname(), color: process.env.COLOR }));
  const answer = await fetch("http://" + decodeURIComponent(url.slice(6))).then((r) => r.text(), (e) => String(e.cause));
  response.end(answer);
}).listen(8000);
process.on("SIGTERM", () => process.exit(0));
`;

function manifests(mark: string, color: string): string {
  return `
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec: { selector: { app: web }, ports: [{ name: http, port: 80, targetPort: http }] }
---
apiVersion: v1
kind: Service
metadata: { name: db, namespace: shop }
spec: { clusterIP: None, selector: { app: db }, ports: [{ name: http, port: 8000 }] }
---
apiVersion: v1
kind: Service
metadata: { name: solo, namespace: shop }
spec: { selector: { app: db }, ports: [{ name: http, port: 80, targetPort: 8000 }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: shop }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      terminationGracePeriodSeconds: 2
      containers:
        - name: web
          image: test/server:1
          env: [{ name: COLOR, value: ${color} }, { name: MARK, value: ${mark} }]
          securityContext: { runAsUser: 1000, readOnlyRootFilesystem: true }
          ports: [{ name: http, containerPort: 8000 }]
          readinessProbe: { httpGet: { path: /, port: http } }
          livenessProbe: { exec: { command: [test, -e, /etc/resolv.conf] } }
          lifecycle: { preStop: { exec: { command: [sleep, "0.5"] } } }
---
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: db, namespace: shop }
spec:
  serviceName: db
  selector: { matchLabels: { app: db } }
  template:
    metadata: { labels: { app: db } }
    spec:
      terminationGracePeriodSeconds: 2
      containers:
        - name: db
          image: test/server:1
          readinessProbe: { tcpSocket: { port: 8000 } }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: crash, namespace: shop }
spec:
  selector: { matchLabels: { app: crash } }
  template:
    metadata: { labels: { app: crash } }
    spec: { containers: [{ name: crash, image: test/shell, args: ["exit 3"] }] }
---
apiVersion: batch/v1
kind: Job
metadata: { name: once, namespace: shop }
spec:
  template:
    metadata: { labels: { app: once } }
    spec:
      restartPolicy: Never
      initContainers:
        - { name: write, image: test/shell, args: ["cp /config/greeting /out/"], volumeMounts: &mounts [{ name: out, mountPath: /out }, { name: config, mountPath: /config }] }
      containers:
        - { name: read, image: test/shell, args: ["grep -q hello /out/greeting"], volumeMounts: *mounts }
      volumes: [{ name: out, emptyDir: {} }, { name: config, configMap: { name: settings } }]
---
apiVersion: v1
kind: ConfigMap
metadata: { name: settings, namespace: shop }
data: { greeting: hello }
`;
}

/** Over a connection of its own, so that each request finds an endpoint anew. */
async function getOnce(url: string): Promise<string> {
  const [response] = await once(httpGet(url, { agent: false, timeout: 5_000 }), "response");
  return await text(response);
}

function fill(dev: DevFolder): void {
  dev.write("server.mjs", SERVER);
  dev.write(
    "images.yaml",
    `images:\n  test/server: { command: [node, server.mjs] }\n  test/shell: { command: [sh, -c] }\n`,
  );
  dev.write("all.yaml", manifests(dev.mark, "red"));
}

test("a folder becomes running pods that reach each other, follows edits, and leaves nothing behind", {
  skip,
}, async (t) => {
  const dev = createDevFolder(t);
  fill(dev);
  const before = machineState();
  const port = await freePort();
  const run = dev.start("--no-host-ports", "--expose", `web.shop:80=${port}`);
  const get = (path: string) => getOnce(`http://127.0.0.1:${port}${path}`);
  const ready = (app: string) => dev.pods(app).filter(isReady);

  await t.test("every pod becomes ready by its probes", async () => {
    await until("two ready web pods", () => ready("web").length === 2, READY);
    await until("a ready database", () => ready("db").length === 1, READY);
  });

  await t.test("a Service's address leads to each of its pods", async () => {
    const hosts = new Set<string>();
    await until("an answer from both pods", async () => hosts.add(JSON.parse(await get("/")).host).size === 2);
    assert.deepEqual(
      [...hosts].sort(),
      dev
        .pods("web")
        .map(({ metadata }) => metadata.name)
        .sort(),
    );
  });

  await t.test("names resolve inside pods: short, qualified, of a pod, and not at all", async () => {
    for (const name of ["web", "web.shop", "web.shop.svc.cluster.local", "db:8000", "db-0.db.shop:8000"]) {
      assert.match(await get(`/call/${name}`), /"host"/, name);
    }
    assert.match(await get("/call/missing"), /ENOTFOUND/);
  });

  await t.test("a pod reaches itself through its Service's address", async () => {
    const viaItself = encodeURIComponent("db:8000/call/solo");
    // The rules of a Service are set a moment behind the news that its pod is ready.
    await until("an answer of its own", async () => /"host":"db-0"/.test(await get(`/call/${viaItself}`)));
  });

  await t.test("a container that ends is started again, later each time", async () => {
    const [crash] = await until(
      "a third start",
      () => {
        const pods = dev.pods("crash");
        return pods.some(({ status }) => (status.containerStatuses[0]?.restartCount ?? 0) >= 2) && pods;
      },
      READY,
    );
    assert.equal(crash?.status.phase, "Running");
    await until(
      "a pause",
      () => dev.pods("crash")[0]?.status.containerStatuses[0]?.state.waiting?.reason === "CrashLoopBackOff",
    );
  });

  await t.test("a Job runs its init containers, then its containers, to the end", async () => {
    await until("the job's success", () => dev.pods("once")[0]?.status.phase === "Succeeded", READY);
  });

  await t.test("an edited Deployment is replaced without a moment in which nothing answers", async () => {
    dev.write("all.yaml", manifests(dev.mark, "blue"));
    const colors = await until(
      "the new color alone",
      async () => {
        const seen = new Set<string>();
        for (let i = 0; i < 10; i++) seen.add(JSON.parse(await get("/")).color);
        assert.ok(ready("web").length >= 2, "two pods are ready at every moment");
        return seen.size === 1 && seen.has("blue") && seen;
      },
      READY,
    );
    assert.deepEqual([...colors], ["blue"]);
    await until("the old pods' end", () => dev.pods("web").length === 2);
  });

  await t.test("a kill leaves no process, interface, namespace or mount", async () => {
    assert.ok(processesWith(dev.mark).length >= 5, "the mark finds the run's processes");
    run.child.kill("SIGKILL");
    await run.exited;
    await until("the end of every process", () => processesWith(dev.mark).length === 0);
    assert.deepEqual(machineState(), before);
  });

  await t.test("a start behind a kill works, and a SIGTERM ends it in order", async () => {
    const again = dev.start("--no-host-ports");
    await until("two ready web pods", () => again.output().match(/shop\/web-\S+ 1\/1 Running/g)?.length === 2, READY);
    again.child.kill("SIGTERM");
    const { code } = await again.exited;
    assert.equal(code, 0);
    assert.deepEqual(processesWith(dev.mark), []);
    assert.deepEqual(machineState(), before);
  });
});

const JOB = `
apiVersion: v1
kind: Pod
metadata: { name: web, namespace: shop, labels: { app: web } }
spec:
  containers:
    - { name: web, image: test/server, readinessProbe: { tcpSocket: { port: 8000 } } }
`;

test("--once runs the command when every pod is ready, tells it what it needs, and exits with its code", {
  skip,
}, async (t) => {
  const dev = createDevFolder(t);
  fill(dev);
  dev.write("all.yaml", JOB);
  const script =
    'cat "$TRYSAIL_STATE/report.json"; test -s "$TRYSAIL_ADMIN_TOKEN_FILE"; curl -s "$TRYSAIL_HTTP/ready" >&2; exit 7';
  const { code, stdout, stderr } = await dev.start("--once", "--", "sh", "-ec", script).exited;
  assert.equal(code, 7, stderr);
  const report = JSON.parse(stdout);
  assert.equal(report.pods[0].name, "web");
  assert.ok(report.reviewMs[0] > 0 && report.pods[0].startMs > 0);
  assert.deepEqual(processesWith(dev.mark), []);
});

test("--once runs the command when proxies have taken all that is known of the pods", { skip }, async (t) => {
  const dev = createDevFolder(t);
  fill(dev);
  const namespace = "apiVersion: v1\nkind: Namespace\nmetadata: { name: shop, labels: { istio-injection: enabled } }\n";
  dev.write("all.yaml", `${namespace}---\n${JOB}`);
  const ask = (page: string) =>
    `curl -sf -H "Authorization: Bearer $(cat "$TRYSAIL_ADMIN_TOKEN_FILE")" "$TRYSAIL_HTTP/debug/${page}"; echo`;
  const { code, stdout, stderr } = await dev.start("--once", "--", "sh", "-ec", `${ask("syncz")}; ${ask("objects")}`)
    .exited;
  assert.equal(code, 0, stderr);
  const [proxies, objects] = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    proxies.map(({ nodeId, inSync }: Record<string, unknown>) => [String(nodeId).split("~")[2], inSync]),
    [["web.shop", true]],
  );
  // Written behind all else.
  assert.ok(
    objects.some(({ kind, name }: Record<string, unknown>) => kind === "ConfigMap" && name === "trysail-dev-written"),
  );
  assert.doesNotMatch(stderr, /not every proxy/);
});

test("--once fails with the reason and the last words of a pod that does not come up", { skip }, async (t) => {
  const dev = createDevFolder(t);
  fill(dev);
  dev.write("all.yaml", JOB.replace("test/server,", 'test/shell, args: ["echo cannot find my keys; exit 4"],'));
  // In the middle of the pause of 4 s behind the fourth start, however long each of them took on this machine.
  const { code, stderr } = await dev.start("--once", "--ready-timeout", "8s").exited;
  assert.equal(code, 1);
  assert.match(stderr, /trysail: not every pod was ready in 8 s/);
  assert.match(stderr, /shop\/web: CrashLoopBackOff.*exited with 4/);
  assert.match(stderr, /web \| cannot find my keys/);
});

test("--once fails at once for an image that nothing stands for, and says where to add it", { skip }, async (t) => {
  const dev = createDevFolder(t);
  fill(dev);
  dev.write("all.yaml", JOB.replace("test/server", "test/other:2"));
  const { code, stderr } = await dev.start("--once").exited;
  assert.equal(code, 1);
  assert.match(
    stderr,
    /shop\/web: ImageNotMapped: container web: no local command for image test\/other:2; add it to .*images\.yaml/,
  );
});

test("two runs never share a state folder", { skip }, async (t) => {
  const dev = createDevFolder(t);
  fill(dev);
  dev.write("all.yaml", JOB);
  const first = dev.start("--no-host-ports");
  await until("the first run", () => first.output().includes("state and logs"), READY);
  const { code, stderr } = await dev.start("--once").exited;
  assert.equal(code, 1);
  assert.match(stderr, /^trysail: another trysail dev runs with the state folder .*--state-dir/);
});

test("a port in use is named, and nothing is started", { skip }, async (t) => {
  const dev = createDevFolder(t);
  fill(dev);
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  t.after(() => taken.close());
  const address = taken.address();
  assert.ok(address !== null && typeof address === "object");
  const { code, stderr } = await dev.start("--once", "--expose", `web.shop:80=${address.port}`).exited;
  assert.equal(code, 1);
  const said = `^trysail: port 127\\.0\\.0\\.1:${address.port} is in use: end the program that has it, or give --expose another one\n`;
  assert.match(stderr, new RegExp(said));
  assert.deepEqual(processesWith(dev.mark), []);
});

test("a folder that does not exist is one clear line", { skip }, async (t) => {
  const { code, stderr } = await createDevFolder(t).startOn("/nowhere/at/all").exited;
  assert.equal(code, 1);
  assert.equal(stderr, "trysail: there is no folder /nowhere/at/all\n");
});

for (const [name, args, message] of [
  ["a broken --expose", ["--expose", "web=80"], /--expose web=80 must look like/],
  ["a command without --once", ["--", "true"], /a command needs --once/],
] as const) {
  test(`${name} is one clear line`, { skip }, async (t) => {
    const dev = createDevFolder(t);
    const { code, stderr } = await dev.start(...args).exited;
    assert.equal(code, 1);
    assert.match(stderr, message);
    assert.equal(stderr.trim().split("\n").length, 1);
  });
}
