import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { get } from "node:http";
import { type TestContext, test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { certificatesOf } from "../../src/ca/x509/pem-certificates.ts";
import { SecretSchema } from "../../src/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { DiscoveryResponseSchema } from "../../src/gen/envoy/service/discovery/v3/discovery_pb.ts";
import { TYPE_URL } from "../../src/xds/resource-set.ts";
import type { ProxyStatus } from "../../src/xds/sync-status.ts";
import { type TestControlPlane, testControlPlane } from "../support/control-plane.ts";
import { envoyMissing, type RunningEnvoy } from "../support/envoy.ts";
import { startPair } from "../support/mutual-tls-pair.ts";
import { until } from "../support/until.ts";
import { AdsClient, NODE, sendSotw } from "../support/xds-client.ts";

/** Envoy's secret discovery service for workloads that hold no stream for configuration. */

const skip = envoyMissing();
/** They are renewed when a fifth of this is left at the latest, which is long enough for a busy machine. */
const SHORT_LIVED = { workloadCertTtlMs: 10_000 };

/** The streams that the control plane serves to namespace `shop`. */
async function synced(mesh: TestControlPlane): Promise<ProxyStatus[]> {
  const token = await mesh.issuer.issue({ namespace: "shop", serviceAccount: "any", ttlMs: 60_000 });
  const headers = { authorization: `Bearer ${token}` };
  return (await (await fetch(`http://127.0.0.1:${mesh.ports.http}/debug/syncz`, { headers })).json()) as ProxyStatus[];
}

/** The serial number of the certificate that it presents. */
async function serialOf(envoy: RunningEnvoy): Promise<string> {
  const { certificates } = JSON.parse(await envoy.admin("/certs"));
  return certificates[0].cert_chain[0].serial_number;
}

/** One request on a connection of its own. */
function statusOf(port: number): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    get({ port, host: "127.0.0.1", agent: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    }).on("error", reject);
  });
}

for (const [protocol, name] of [
  ["DELTA_GRPC", "delta"],
  ["GRPC", "sotw"],
] as const) {
  test(`two Envoys that ask for secrets alone (${name}) speak mutual TLS, and go on with renewed certificates`, {
    skip,
  }, async (t) => {
    const mesh = await testControlPlane(t, {}, SHORT_LIVED);
    const pair = await startPair(t, mesh, mesh.rootPath, protocol);
    assert.equal(await statusOf(pair.port), 200);
    const streams = await synced(mesh);
    assert.ok(streams.length >= 2);
    for (const stream of streams) assert.deepEqual([stream.protocol, Object.keys(stream.types)], [name, ["secret"]]);
    const before = await Promise.all([pair.client, pair.server].map(serialOf));
    const areRenewed = async () => {
      const now = await Promise.all([pair.client, pair.server].map(serialOf));
      return now.every((serial, at) => serial !== before[at]);
    };
    await until("new certificates at both", areRenewed, { timeoutMs: 3 * SHORT_LIVED.workloadCertTtlMs });
    assert.equal(await statusOf(pair.port), 200);
  });
}

/** A stream of the secret discovery service, opened as `shop/cart` with its token. */
async function openSecrets(t: TestContext, mesh: TestControlPlane) {
  const token = await mesh.issuer.issue({ namespace: "shop", serviceAccount: "cart", ttlMs: 60_000 });
  const client = new AdsClient(t, { port: mesh.ports.grpc, rootPem: readFileSync(mesh.rootPath, "utf8"), token });
  return client.secrets();
}

test("a stream for secrets gets its own identity's, and nothing for any other name", async (t) => {
  const mesh = await testControlPlane(t, {});
  const stream = await openSecrets(t, mesh);
  const seen: Buffer[] = [];
  stream.call.on("data", (bytes: Buffer) => seen.push(bytes));
  const resourceNames = ["default", "ROOTCA", "kubernetes://other", "spiffe://cluster.local/ns/shop/sa/bank"];
  sendSotw(stream, { typeUrl: TYPE_URL.secret, node: NODE, resourceNames });
  await stream.next();
  const { resources } = fromBinary(DiscoveryResponseSchema, seen[0] ?? Buffer.alloc(0));
  const secrets = resources.map(({ value }) => fromBinary(SecretSchema, value));
  assert.deepEqual(secrets.map(({ name }) => name).sort(), ["ROOTCA", "default"]);
  const own = secrets.find(({ name }) => name === "default")?.type;
  assert.ok(own?.case === "tlsCertificate" && own.value.certificateChain?.specifier.case === "inlineBytes");
  const [leaf] = certificatesOf(Buffer.from(own.value.certificateChain.specifier.value).toString());
  assert.equal(leaf?.subjectAltName, "URI:spiffe://cluster.local/ns/shop/sa/cart");
});

test("a stream for secrets that says it is another's ends", async (t) => {
  const mesh = await testControlPlane(t, {});
  const stream = await openSecrets(t, mesh);
  const node = { id: NODE.id.replace("cart", "bank"), metadata: { NAMESPACE: "shop", SERVICE_ACCOUNT: "bank" } };
  sendSotw(stream, { typeUrl: TYPE_URL.secret, node, resourceNames: ["default"] });
  assert.deepEqual(await stream.ended(), {
    code: 7,
    details: `node's metadata SERVICE_ACCOUNT is "bank", but its credentials are for "cart"`,
  });
});
