import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { createRegistry, fromBinary, type JsonObject, toJson } from "@bufbuild/protobuf";
import { SecretSchema } from "../../src/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { file_envoy_extensions_transport_sockets_tls_v3_tls_spiffe_validator_config } from "../../src/gen/envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config_pb.ts";
import type { MeshSnapshot } from "../../src/mesh/snapshot.ts";
import { createSnapshotBuilder } from "../../src/mesh/snapshot.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { buildTrustBundleSecret } from "../../src/sds/secret-resource.ts";
import { isObject } from "../support/accepted.ts";
import { type TemporaryAuthority, temporaryAuthority } from "../support/authority.ts";
import { type CallerIdentity, callHttp, get, identityOf } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { endpoint, istio, meshConfig, pod, service } from "../support/manifests.ts";
import { meshOf, objectsOf, setOf } from "../support/mesh.ts";
import { type RunningSidecars, type SidecarIdentity, startSidecars } from "../support/sidecars.ts";
import { listenOn, startUpstream } from "../support/upstream.ts";

/** Between the sidecars of two trust domains: two real Envoys, one of which calls the other. */

const skip = envoyMissing();
const CLIENT = { namespace: "shop", serviceAccount: "client" };
const SERVER = { namespace: "shop", serviceAccount: "server" };

interface Server {
  /** Its inbound listener, which learns by a PROXY header where the call was for. */
  readonly inbound: number;
  /** The same without that header, as another sidecar calls it. */
  readonly relay: number;
  readonly app: number;
}

/** A workload that takes mutual TLS alone, of a mesh with the given objects. */
async function startServer(
  t: TestContext,
  identity: SidecarIdentity,
  objects: string,
  build: (yaml: string) => MeshSnapshot = meshOf,
): Promise<Server> {
  const app = await startUpstream(t, "app");
  const mesh = build(
    [
      objects,
      pod({ name: "server", ip: "127.0.0.1", labels: { app: "server" }, serviceAccount: "server" }),
      service({ name: "server", ports: { http: { port: 80, targetPort: app.port } } }),
      istio("PeerAuthentication", "default", { mtls: { mode: "STRICT" } }),
    ].join(""),
  );
  const running = await startSidecars(t, identity, { server: { mesh, pod: "server.shop" } });
  const inbound = running.port("server", "virtualInbound");
  const relay = createServer((socket) => {
    const onward = connect(inbound, "127.0.0.1");
    onward.write(`PROXY TCP4 127.0.0.1 127.0.0.1 1234 ${app.port}\r\n`);
    socket.pipe(onward).pipe(socket);
    socket.on("error", () => onward.destroy());
    onward.on("error", () => socket.destroy());
  });
  return { inbound, relay: await listenOn(t, relay, "127.0.0.1"), app: app.port };
}

function startClient(t: TestContext, identity: SidecarIdentity, mesh: MeshSnapshot): Promise<RunningSidecars> {
  return startSidecars(t, identity, { client: { mesh, pod: "client.shop" } });
}

async function statusOf(client: RunningSidecars, host: string): Promise<number> {
  return (await get(client.port("client", "0.0.0.0_80"), { headers: { host } })).status;
}

async function statusAt({ inbound, app }: Server, identity: CallerIdentity): Promise<number | undefined> {
  return (await callHttp({ port: inbound, destination: app, identity }))?.status;
}

const allow = (...principals: string[]) =>
  istio("AuthorizationPolicy", "allow", { action: "ALLOW", rules: [{ from: [{ source: { principals } }] }] });

test("workloads with certificates of an alias and of the mesh's own trust domain call each other", {
  skip,
}, async (t) => {
  const authority = await temporaryAuthority(t, systemClock);
  const known = meshConfig("trustDomainAliases: [old.example]") + allow("cluster.local/ns/shop/sa/client");
  for (const [who, caller, callee] of [
    ["a caller", "old.example", "cluster.local"],
    ["a callee", "cluster.local", "old.example"],
  ] as const) {
    await t.test(`${who} of the alias`, async (t) => {
      const server = await startServer(t, await identityOf(authority, { ...SERVER, trustDomain: callee }), known);
      const mesh = meshOf(known + clientAndServer(server));
      const client = await startClient(t, await identityOf(authority, { ...CLIENT, trustDomain: caller }), mesh);
      assert.equal(await statusOf(client, "server"), 200);
      const stranger = await identityOf(authority, { ...CLIENT, trustDomain: "stranger.example" });
      assert.equal(await statusAt(server, stranger), undefined, "no other domain of the same root");
      const other = await identityOf(authority, { ...CLIENT, serviceAccount: "other", trustDomain: caller });
      assert.equal(await statusAt(server, other), 403, "nobody whom the policy does not name");
    });
  }
});

test("a mesh's own trust domain, in which policies that say cluster.local mean it, is not the mesh config's to change", {
  skip,
}, async (t) => {
  const domain = "shop.example";
  const authority = await temporaryAuthority(t, systemClock, domain);
  const known = meshConfig("trustDomain: other.example") + allow("cluster.local/ns/shop/sa/client");
  const built = (yaml: string) => createSnapshotBuilder(domain).build(setOf(objectsOf(yaml)));
  const server = await startServer(t, await identityOf(authority, { ...SERVER, trustDomain: domain }), known, built);
  const mesh = built(known + clientAndServer(server));
  assert.match(mesh.findings.map(({ message }) => message).join(), /root is of trust domain shop\.example/);
  const client = await startClient(t, await identityOf(authority, { ...CLIENT, trustDomain: domain }), mesh);
  assert.equal(await statusOf(client, "server"), 200);
  const other = await identityOf(authority, { ...CLIENT, serviceAccount: "other", trustDomain: domain });
  assert.equal(await statusAt(server, other), 403, "nobody whom the policy does not name");
  for (const trustDomain of ["cluster.local", "other.example"]) {
    assert.equal(
      await statusAt(server, await identityOf(authority, { ...CLIENT, trustDomain })),
      undefined,
      trustDomain,
    );
  }
});

/** The secret `ROOTCA` of a mesh with one foreign trust domain. */
function federated(ownDomain: string, own: TemporaryAuthority, foreign: ReadonlyMap<string, string>): JsonObject {
  const trustBundle = { rootsPem: own.trustBundlePem, revocationListsPem: "" };
  const { bytes } = buildTrustBundleSecret(trustBundle, { ownDomains: [ownDomain], foreign });
  const registry = createRegistry(file_envoy_extensions_transport_sockets_tls_v3_tls_spiffe_validator_config);
  const json = toJson(SecretSchema, fromBinary(SecretSchema, bytes), { registry });
  assert.ok(isObject(json));
  return json;
}

function foreignMesh(domain: string, { trustBundlePem }: TemporaryAuthority): string {
  return meshConfig(JSON.stringify({ caCertificates: [{ trustDomains: [domain], pem: trustBundlePem }] }));
}

test("a federated mesh's workloads call across, and each root vouches for its own trust domain alone", {
  skip,
}, async (t) => {
  const [east, west] = [
    await temporaryAuthority(t, systemClock),
    await temporaryAuthority(t, systemClock, "west.example"),
  ];
  const identity = (root: TemporaryAuthority, trustDomain: string, account = CLIENT) =>
    identityOf(root, { ...account, trustDomain });
  const ofEast = { ...(await identity(east, "cluster.local", SERVER)) };
  const policy = allow("west.example/ns/shop/sa/client", "cluster.local/ns/shop/sa/client");
  const server = await startServer(
    t,
    { ...ofEast, trustBundle: federated("cluster.local", east, new Map([["west.example", west.trustBundlePem]])) },
    foreignMesh("west.example", west) + policy,
  );

  const callee = "spiffe://cluster.local/ns/shop/sa/server";
  const clientMesh = (subjectAltName: string) => {
    const entry = { hosts: ["server.east"], ports: [{ number: 80, name: "http", protocol: "HTTP" }] };
    const endpoints = [{ address: "127.0.0.1", ports: { http: server.relay } }];
    const tls = { mode: "ISTIO_MUTUAL", subjectAltNames: [subjectAltName] };
    const objects = [
      foreignMesh("cluster.local", east),
      pod({ name: "client", ip: "127.0.0.2" }),
      istio("ServiceEntry", "server", { ...entry, addresses: ["240.0.0.1"], resolution: "STATIC", endpoints }),
      istio("DestinationRule", "server", { host: "server.east", trafficPolicy: { tls } }),
    ];
    return createSnapshotBuilder("west.example").build(setOf(objectsOf(objects.join(""))));
  };
  const ofWest = {
    ...(await identity(west, "west.example")),
    trustBundle: federated("west.example", west, new Map([["cluster.local", east.trustBundlePem]])),
  };

  await t.test("a sidecar of the other mesh gets through, to whom it means to call", async (t) => {
    assert.equal(await statusOf(await startClient(t, ofWest, clientMesh(callee)), "server.east"), 200);
    const wrong = await startClient(t, ofWest, clientMesh("spiffe://cluster.local/ns/shop/sa/thief"));
    assert.equal(await statusOf(wrong, "server.east"), 503);
  });

  const trusting = (caller: CallerIdentity) => ({ ...caller, rootPem: east.rootCertificatePem });
  const rows: [who: string, caller: CallerIdentity, status: number | undefined][] = [
    ["a workload of its own", await identity(east, "cluster.local"), 200],
    ["one of the other mesh", await identity(west, "west.example"), 200],
    ["one that no policy names", await identity(west, "west.example", SERVER), 403],
    ["one of its own by the other mesh's root", await identity(west, "cluster.local"), undefined],
    ["one of the other mesh by its own root", await identity(east, "west.example"), undefined],
    ["one of a third domain by the other mesh's root", await identity(west, "third.example"), undefined],
  ];
  for (const [who, caller, status] of rows) {
    await t.test(`${who}: ${status ?? "no connection"}`, async () => {
      assert.equal(await statusAt(server, trusting(caller)), status);
    });
  }

  await t.test("until the other mesh's roots are known, it is refused, and the mesh's own are not", async (t) => {
    const trustBundle = federated("cluster.local", east, new Map());
    const alone = await startServer(t, { ...ofEast, trustBundle }, foreignMesh("west.example", west) + policy);
    assert.equal(await statusAt(alone, trusting(ofWest)), undefined);
    assert.equal(await statusAt(alone, await identity(east, "cluster.local")), 200);
    const forged = await identity(east, "west.example");
    assert.equal(await statusAt(alone, forged), undefined);
  });
});

/** A client, and the Service of a server, as they are in the mesh. */
function clientAndServer(server: { readonly relay: number }): string {
  const one = { name: "server", ip: "127.0.0.1", serviceAccount: "server", labels: { app: "server" }, tls: true };
  return [
    pod({ name: "client", ip: "127.0.0.2" }),
    pod(one),
    service({ name: "server", ports: { http: 80 }, clusterIP: "10.96.0.1" }),
    endpoint("server", one, { http: server.relay }),
  ].join("");
}
