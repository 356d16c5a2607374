import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { placeholderIdentity } from "../../src/ca/serving/placeholder-identity.ts";
import { get } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { document, endpoint, istio, pod, service } from "../support/manifests.ts";
import { meshOf } from "../support/mesh.ts";
import { startSidecars } from "../support/sidecars.ts";
import { startEcho, startUpstream } from "../support/upstream.ts";

/** Which object routes what is asked for by a name, asked of a real Envoy. */

const to = (host: string, port: number) => [{ destination: { host, port: { number: port } } }];
const says = (body: string) => [{ directResponse: { status: 200, body: { string: body } } }];

async function startMesh(t: TestContext) {
  const web = await startUpstream(t, "web");
  const echo = await startEcho(t);
  const ports = { http: 80, "http-other": 8080, tls: 443 };
  const backend = (name: string, clusterIP: string) =>
    service({ name, ports, clusterIP }) +
    endpoint(name, { name: `${name}-0`, ip: web.ip }, { http: web.port, "http-other": web.port, tls: echo.port });
  const alias = (name: string, externalName: string, namespace = "shop") =>
    document({
      apiVersion: "v1",
      kind: "Service",
      metadata: { name, namespace },
      spec: { type: "ExternalName", externalName },
    });
  const egress = (number: number, host: string) => ({
    port: { number, name: "http", protocol: "HTTP" },
    hosts: [`./${host}.shop.svc.cluster.local`],
  });
  const shared = [
    backend("web", "10.96.5.1"),
    backend("own", "10.96.5.2"),
    service({ name: "elsewhere", ports: { http: 8080 }, clusterIP: "10.96.5.3" }),
    istio("VirtualService", "own", { hosts: ["own"], http: says("own") }),
  ];
  const yaml = [
    ...shared,
    pod({ name: "caller", ip: "127.0.0.98", labels: { app: "caller" } }),
    pod({ name: "limited", ip: "127.0.0.99", labels: { app: "limited" } }),
    istio("Sidecar", "limited", {
      workloadSelector: { labels: { app: "limited" } },
      egress: [egress(80, "own"), { hosts: ["./*"] }],
    }),
    // Names that no service has, though one is meant, and one that has another port.
    istio("VirtualService", "dotted", { hosts: ["web.shop"], http: says("dotted") }),
    istio("VirtualService", "address", { hosts: ["10.96.5.1"], http: says("address") }),
    istio("VirtualService", "elsewhere", { hosts: ["elsewhere"], http: says("elsewhere") }),
    istio("ServiceEntry", "wide", {
      hosts: ["*.wide.test"],
      ports: [
        { number: 80, name: "http", protocol: "HTTP" },
        { number: 443, name: "tls", protocol: "TLS" },
      ],
      location: "MESH_EXTERNAL",
      resolution: "STATIC",
      endpoints: [{ address: echo.ip, ports: { tls: echo.port } }],
    }),
    istio("VirtualService", "narrow", {
      hosts: ["www.wide.test"],
      http: says("narrow"),
      tls: [{ match: [{ port: 443, sniHosts: ["www.wide.test"] }], route: to("web", 443) }],
    }),
    alias("nick", "own.shop.svc.cluster.local"),
    alias("nick-of-nick", "nick.shop.svc.cluster.local", "other"),
  ].join("");
  const mesh = meshOf(yaml);
  return startSidecars(t, placeholderIdentity(), {
    caller: { mesh, pod: "caller.shop" },
    limited: { mesh, pod: "limited.shop" },
  });
}

test("what a name means", { skip: envoyMissing() }, async (t) => {
  const { envoy, port } = await startMesh(t);
  const ask = (host: string, sidecar = "caller", listener = "0.0.0.0_80") =>
    get(port(sidecar, listener), { headers: { host } });

  const named: [host: string, answer: string, what: string][] = [
    ["web.shop", "dotted", "a VirtualService for one of a service's further names"],
    ["10.96.5.1", "address", "a VirtualService for a service's address"],
    ["elsewhere.shop.svc.cluster.local", "elsewhere", "a VirtualService for a service that has another port"],
    ["www.wide.test", "narrow", "a VirtualService for a host of a wildcard's"],
    ["nick", "own", "the VirtualService of a service by its ExternalName"],
    ["nick-of-nick.other", "own", "the same by a further ExternalName in another namespace"],
  ];
  for (const [host, answer, what] of named) {
    await t.test(`${host}: ${what}`, async () => assert.equal((await ask(host)).body, answer));
  }

  await t.test("what no VirtualService names goes to the service", async () => {
    assert.equal(JSON.parse((await ask("web")).body).upstream, "web");
  });

  await t.test("TLS to a host of a wildcard's goes where the host's own VirtualService says", async () => {
    for (const servername of ["www.wide.test", "other.wide.test"]) {
      const socket = connectTls({ port: port("caller", "0.0.0.0_443"), servername });
      // Nobody there speaks TLS: what is told of it is who was connected to.
      await new Promise((resolve) => socket.on("error", resolve));
    }
    const stats = (await envoy.admin("/stats?filter=outbound.443.*upstream_cx_total")).split("\n");
    const connected = stats.filter((line) => line.endsWith(": 1")).map((line) => line.split(".upstream")[0]);
    assert.deepEqual(connected, [
      "cluster.outbound|443||*.wide.test",
      "cluster.outbound|443||web.shop.svc.cluster.local",
    ]);
  });

  await t.test("a Sidecar's listener for one port has only what it names, though another names all", async () => {
    assert.equal((await ask("own", "limited")).body, "own");
    assert.equal((await ask("own", "limited", "0.0.0.0_8080")).body, "own");
    assert.equal(JSON.parse((await ask("web", "limited", "0.0.0.0_8080")).body).upstream, "web");
    // Passed on to where it was dialled, which is nowhere here.
    assert.equal((await ask("web", "limited")).status, 503);
  });
});
