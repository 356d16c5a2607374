import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { status } from "@grpc/grpc-js";
import { SignJWT } from "jose";
import { loadTokenIssuer, TOKEN_ISSUER } from "../../src/ca/jwt/token-issuer.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { openAds, sidecarNode, TYPE_URL } from "../support/ads-client.ts";
import { testControlPlane } from "../support/control-plane.ts";
import { temporaryState } from "../support/state.ts";

const HOUR_MS = 3_600_000;
const shop = { namespace: "shop", serviceAccount: "cart" };

test("a proxy must prove who it is, and is told what its proof lacks", async (t) => {
  const mesh = await testControlPlane(t, {});
  const target = { port: mesh.ports.grpc, rootPath: mesh.rootPath };
  const elsewhere = await loadTokenIssuer({ state: await temporaryState(t), clock: systemClock });
  const past = { now: () => Date.now() - 2 * HOUR_MS };
  const expired = await loadTokenIssuer({ state: await openSame(mesh.stateDir), clock: past });
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const forged = await new SignJWT({ sub: "system:serviceaccount:shop:cart" })
    .setProtectedHeader({ alg: "ES256" })
    .setIssuer(TOKEN_ISSUER)
    .setAudience("istio-ca")
    .setIssuedAt()
    .setExpirationTime("1h")
    .sign(privateKey);
  const good = await mesh.issuer.issue({ ...shop, ttlMs: HOUR_MS });
  const bound = await mesh.issuer.issue({
    ...shop,
    ttlMs: HOUR_MS,
    pod: { name: "cart-1", uid: "8b51e8e2-1b0c-4c0f-9d5e-6a1d0f4c7a11" },
  });

  const cases: {
    name: string;
    token: string | undefined;
    node: ReturnType<typeof sidecarNode>;
    code: status;
    says: RegExp;
  }[] = [
    {
      name: "no token",
      token: undefined,
      node: sidecarNode("cart-1", "shop", "cart"),
      code: status.UNAUTHENTICATED,
      says: /no token/,
    },
    {
      name: "not a token",
      token: "garbage",
      node: sidecarNode("cart-1", "shop", "cart"),
      code: status.UNAUTHENTICATED,
      says: /token/,
    },
    {
      name: "a forged token",
      token: forged,
      node: sidecarNode("cart-1", "shop", "cart"),
      code: status.UNAUTHENTICATED,
      says: /not signed by this mesh/,
    },
    {
      name: "a token of another mesh",
      token: await elsewhere.issue({ ...shop, ttlMs: HOUR_MS }),
      node: sidecarNode("cart-1", "shop", "cart"),
      code: status.UNAUTHENTICATED,
      says: /not signed by this mesh/,
    },
    {
      name: "an expired token",
      token: await expired.issue({ ...shop, ttlMs: HOUR_MS }),
      node: sidecarNode("cart-1", "shop", "cart"),
      code: status.UNAUTHENTICATED,
      says: /expired/,
    },
    {
      name: "a token for another audience",
      token: await mesh.issuer.issue({ ...shop, ttlMs: HOUR_MS, audience: "vault" }),
      node: sidecarNode("cart-1", "shop", "cart"),
      code: status.UNAUTHENTICATED,
      says: /audience/,
    },
    {
      name: "a node of another namespace",
      token: good,
      node: sidecarNode("cart-1", "bank", "cart"),
      code: status.PERMISSION_DENIED,
      says: /namespace/,
    },
    {
      name: "a node with another service account",
      token: good,
      node: sidecarNode("cart-1", "shop", "admin"),
      code: status.PERMISSION_DENIED,
      says: /SERVICE_ACCOUNT/,
    },
    {
      name: "a node of another pod",
      token: bound,
      node: sidecarNode("cart-2", "shop", "cart"),
      code: status.PERMISSION_DENIED,
      says: /pod/,
    },
    {
      name: "a node id that is none",
      token: good,
      node: { id: "somebody" },
      code: status.INVALID_ARGUMENT,
      says: /node id/i,
    },
  ];
  for (const { name, token, node, code, says } of cases) {
    await t.test(name, async (t) => {
      const ads = openAds(t, target, token);
      ads.subscribe(node, TYPE_URL.cluster);
      const ended = await ads.ended;
      assert.equal(ended.code, code, ended.details);
      assert.match(ended.details, says);
    });
  }
  await t.test("with a good one it is served", async (t) => {
    const ads = openAds(t, target, bound);
    ads.subscribe(sidecarNode("cart-1", "shop", "cart"), TYPE_URL.cluster);
    const { resources } = await ads.response();
    assert.ok(resources.some(({ name }) => name === "PassthroughCluster"));
  });
});

test("what one stream sends ends that stream alone", async (t) => {
  const mesh = await testControlPlane(t, {});
  const target = { port: mesh.ports.grpc, rootPath: mesh.rootPath };
  const token = await mesh.issuer.issue({ ...shop, ttlMs: HOUR_MS });
  const node = sidecarNode("cart-1", "shop", "cart");
  const bystander = openAds(t, target, token);
  bystander.subscribe(node, TYPE_URL.cluster);
  await bystander.response();

  const garbage = openAds(t, target, token);
  garbage.sendBytes(Buffer.from("ffffffffffffffff", "hex"));
  assert.equal((await garbage.ended).code, status.INVALID_ARGUMENT);

  const oversized = openAds(t, target, token);
  oversized.sendBytes(Buffer.alloc(5 * 1024 * 1024));
  assert.equal((await oversized.ended).code, status.RESOURCE_EXHAUSTED);

  bystander.subscribe(null, TYPE_URL.listener);
  const listeners = await bystander.response();
  assert.ok(listeners.resources.some(({ name }) => name === "virtualInbound"));
});

test("secrets come to their own identity alone, and the key matches the certificate", async (t) => {
  const mesh = await testControlPlane(t, {});
  const token = await mesh.issuer.issue({ ...shop, ttlMs: HOUR_MS });
  const ads = openAds(t, { port: mesh.ports.grpc, rootPath: mesh.rootPath }, token);
  ads.subscribe(sidecarNode("cart-1", "shop", "cart"), TYPE_URL.secret, ["default", "ROOTCA"]);
  const names = new Set<string>();
  let text = "";
  while (names.size < 2) {
    for (const { name, resource } of (await ads.response()).resources) {
      names.add(name);
      text += Buffer.from(resource?.value ?? []).toString("latin1");
    }
  }
  assert.deepEqual([...names].sort(), ["ROOTCA", "default"]);
  assert.match(text, /BEGIN PRIVATE KEY/);
  const [leaf] =
    /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/.exec(text.slice(text.indexOf("default"))) ?? [];
  assert.ok(leaf);
  const { X509Certificate } = await import("node:crypto");
  assert.equal(new X509Certificate(leaf).subjectAltName, "URI:spiffe://cluster.local/ns/shop/sa/cart");
});

async function openSame(stateDir: string) {
  const { openStateDir } = await import("../../src/platform/state-dir.ts");
  return openStateDir(stateDir);
}
