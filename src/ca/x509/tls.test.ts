import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import tls, { type PeerCertificate, type TLSSocket } from "node:tls";
import { type TemporaryAuthority, temporaryAuthority } from "../../../test/support/authority.ts";
import { systemClock } from "../../platform/clock.ts";
import { issue } from "../issue.ts";

const HOUR_MS = 60 * 60 * 1000;

async function workload(authority: TemporaryAuthority, serviceAccount: string): Promise<{ key: string; cert: string }> {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const issued = await issue(
    { signer: authority.signer, clock: systemClock, maxTtlMs: HOUR_MS },
    {
      identity: { trustDomain: "cluster.local", namespace: "shop", serviceAccount },
      publicKey: publicKey.export({ type: "spki", format: "der" }),
      ttlMs: HOUR_MS,
    },
  );
  return { key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(), cert: issued.chainPem };
}

/** One handshake in which each side demands the other's certificate; resolves with the names each saw. */
async function handshake(
  t: TestContext,
  server: { key: string; cert: string; ca: string },
  client: { key: string; cert: string; ca: string },
): Promise<{ serverSaw?: string; clientSaw?: string }> {
  const listener = tls.createServer({ ...server, requestCert: true, rejectUnauthorized: true });
  t.after(() => listener.close());
  const accepted = new Promise<TLSSocket>((resolve, reject) => {
    listener.once("secureConnection", resolve).once("tlsClientError", reject);
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const address = listener.address();
  assert.ok(typeof address === "object" && address !== null);
  let clientSaw: string | undefined;
  const socket = tls.connect({
    ...client,
    port: address.port,
    host: "127.0.0.1",
    checkServerIdentity: (_host: string, peer: PeerCertificate) => {
      clientSaw = peer.subjectaltname;
      return undefined;
    },
  });
  t.after(() => socket.destroy());
  const connected = once(socket, "secureConnect");
  const [serverSide] = await Promise.all([accepted, connected]);
  t.after(() => serverSide.destroy());
  return { serverSaw: serverSide.getPeerCertificate().subjectaltname, clientSaw };
}

test("Node's TLS accepts a workload's certificate on both sides of one connection", async (t) => {
  const authority = await temporaryAuthority(t, systemClock);
  const ca = authority.trustBundlePem;
  const seen = await handshake(
    t,
    { ...(await workload(authority, "cart")), ca },
    { ...(await workload(authority, "page")), ca },
  );
  assert.equal(seen.serverSaw, "URI:spiffe://cluster.local/ns/shop/sa/page");
  assert.equal(seen.clientSaw, "URI:spiffe://cluster.local/ns/shop/sa/cart");
});

test("Node's TLS refuses a workload of another mesh, on either side", async (t) => {
  const [ours, other] = [await temporaryAuthority(t, systemClock), await temporaryAuthority(t, systemClock)];
  const our = { ...(await workload(ours, "cart")), ca: ours.trustBundlePem };
  const foreign = await workload(other, "cart");
  await assert.rejects(handshake(t, our, { ...foreign, ca: ours.trustBundlePem }));
  await assert.rejects(handshake(t, { ...foreign, ca: ours.trustBundlePem }, our));
});
