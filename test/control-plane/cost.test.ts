import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { ObjectCost, ProxyCost } from "../../src/control-plane/cost-view.ts";
import { TYPE_URL } from "../../src/xds/resource-set.ts";
import { type TestControlPlane, testControlPlane } from "../support/control-plane.ts";
import { until } from "../support/until.ts";
import { AdsClient, type AdsClientStream, NODE, sendDelta } from "../support/xds-client.ts";

const MESH = `
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {ports: [{name: http, port: 80}, {name: tcp-admin, port: 9000}], clusterIP: 10.96.0.1}
---
apiVersion: v1
kind: Service
metadata: {name: page, namespace: web}
spec: {ports: [{name: http, port: 80}], clusterIP: 10.96.0.2}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: maps, namespace: shop}
spec:
  hosts: [maps.example.com, tiles.example.com]
  ports: [{number: 443, name: tls, protocol: TLS}]
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: cart-versions, namespace: shop}
spec:
  host: cart
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: cart-routes, namespace: shop}
spec:
  hosts: [cart]
  http:
    - match: [{uri: {prefix: /old}}]
      redirect: {uri: /new}
    - route: [{destination: {host: cart}}]
`;

async function asked<T>(mesh: TestControlPlane, page: string, namespace = "trysail-system"): Promise<T[]> {
  const token = await mesh.issuer.issue({ namespace, serviceAccount: "default", ttlMs: 3_600_000 });
  const response = await fetch(`http://127.0.0.1:${mesh.ports.http}/debug/${page}`, {
    headers: { authorization: `Bearer ${token}` },
  });
  assert.equal(response.status, 200);
  return (await response.json()) as T[];
}

/** What `trysail cost` prints. */
async function printed({ ports, stateDir }: TestControlPlane, ...flags: string[]): Promise<string> {
  const program = fileURLToPath(new URL("../../src/cli/trysail.ts", import.meta.url));
  const server = ["--server", `http://127.0.0.1:${ports.http}`, "--state-dir", stateDir];
  const { stdout } = await promisify(execFile)(process.execPath, [program, "cost", ...server, ...flags]);
  return stdout;
}

/** A proxy that asks for all it could have, as Envoy would, and counts the bytes of what it is sent. */
async function connected(t: Parameters<typeof testControlPlane>[0], mesh: TestControlPlane): Promise<AdsClientStream> {
  const stream = new AdsClient(t, { port: mesh.ports.plaintext ?? 0 }).delta();
  sendDelta(stream, { node: NODE, typeUrl: TYPE_URL.cluster });
  for (const [typeUrl, next] of [
    [TYPE_URL.cluster, TYPE_URL.endpoint],
    [TYPE_URL.endpoint, TYPE_URL.listener],
    [TYPE_URL.listener, TYPE_URL.route],
    [TYPE_URL.route, null],
  ] as const) {
    const { nonce } = await stream.next();
    sendDelta(stream, { typeUrl, responseNonce: nonce });
    if (next !== null) sendDelta(stream, { typeUrl: next, ...wanted(next) });
  }
  return stream;
}

function wanted(typeUrl: string): { resourceNamesSubscribe?: string[] } {
  if (typeUrl === TYPE_URL.route) return { resourceNamesSubscribe: ["80"] };
  if (typeUrl !== TYPE_URL.endpoint) return {};
  const cart = "cart.shop.svc.cluster.local";
  return { resourceNamesSubscribe: [`outbound|80||${cart}`, `outbound|80|v1|${cart}`] };
}

test("what each object costs is told by what proxies were sent on its account", async (t) => {
  const mesh = await testControlPlane(t, { "mesh.yaml": MESH }, { plaintext: { host: "127.0.0.1", port: 0 } });
  assert.deepEqual(await asked<ObjectCost>(mesh, "cost"), []);
  await connected(t, mesh);
  const second = await connected(t, mesh);

  const rows = await asked<ObjectCost>(mesh, "cost");
  const row = (kind: string, name: string) => {
    const found = rows.find(({ object }) => object.kind === kind && object.name === name);
    assert.ok(found, `${kind} ${name}`);
    return found;
  };
  assert.deepEqual(row("Service", "cart").counts, { cluster: 2, endpoint: 1, listener: 1 });
  assert.deepEqual(row("DestinationRule", "cart-versions").counts, { cluster: 4, endpoint: 1 });
  assert.deepEqual(row("VirtualService", "cart-routes").counts, { route: 2 });
  assert.deepEqual(row("ServiceEntry", "maps").counts, { cluster: 2 });
  assert.equal(row("Service", "page").object.namespace, "web");
  for (const { proxies, bytes, bytesAtProxies } of rows) {
    assert.deepEqual([proxies, bytesAtProxies], [2, 2 * bytes]);
    assert.ok(bytes > 0);
  }

  const proxies = await asked<ProxyCost>(mesh, "cost/proxies");
  assert.equal(proxies.length, 2);
  assert.equal(proxies[0]?.proxy, NODE.id);
  assert.equal(proxies[0]?.counts.endpoint, 2);
  const total = (of: readonly { bytes: number }[]) => of.reduce((sum, { bytes }) => sum + bytes, 0);
  assert.equal(total(rows), proxies[0]?.bytes, "the objects' shares add up to what a proxy was sent");

  const table = await printed(mesh);
  assert.match(table, /^NAMESPACE +KIND +NAME +PROXIES +CLUSTERS +ENDPOINTS +LISTENERS +ROUTES +BYTES +AT PROXIES\n/);
  assert.match(table, /^shop +VirtualService +cart-routes +2 +0 +0 +0 +2 +\d+ +\d+$/m);
  assert.match(await printed(mesh, "--proxies"), /^sidecar~10\.0\.0\.1~cart-1\.shop\S+ +\d+ +2 +\d+ +1 +\d+$/m);

  assert.deepEqual(
    new Set((await asked<ObjectCost>(mesh, "cost", "web")).map(({ object }) => object.name)),
    new Set(["page"]),
  );
  assert.deepEqual(await asked<ProxyCost>(mesh, "cost/proxies", "web"), []);
  second.call.cancel();
  await until("one proxy", async () => (await asked<ProxyCost>(mesh, "cost/proxies")).length === 1);
  assert.equal((await asked<ObjectCost>(mesh, "cost"))[0]?.proxies, 1);
});
