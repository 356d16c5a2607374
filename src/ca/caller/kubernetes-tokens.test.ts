import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { SignJWT } from "jose";
import type { BoundPod } from "./kubernetes-tokens.ts";
import { createKubernetesTokens } from "./kubernetes-tokens.ts";

const NOW = Date.parse("2026-08-01T00:00:00Z");
const ISSUER = "https://kubernetes.default.svc";
const POD: BoundPod = { uid: "pod-1", serviceAccount: "cart", node: "a" };

test("what a remembered token is bound to is looked for each time that it comes", async () => {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  let pod: BoundPod | undefined = POD;
  let accountUid: string | undefined = "account-1";
  let verified = 0;
  const tokens = createKubernetesTokens({
    issuer: ISSUER,
    keys: async () => {
      verified++;
      return publicKey;
    },
    audiences: ["istio-ca"],
    trustDomain: "cluster.local",
    objects: { pod: () => pod, serviceAccountUid: () => accountUid },
    clock: { now: () => NOW },
  });
  const bound = {
    namespace: "shop",
    serviceaccount: { name: "cart", uid: "account-1" },
    pod: { name: "cart-1", uid: "pod-1" },
  };
  const text = await new SignJWT({ "kubernetes.io": bound, sub: "system:serviceaccount:shop:cart", aud: "istio-ca" })
    .setProtectedHeader({ alg: "ES256" })
    .setIssuer(ISSUER)
    .setIssuedAt(NOW / 1000)
    .setExpirationTime(NOW / 1000 + 3600)
    .sign(privateKey);
  const authenticate = async () =>
    tokens.authenticate({
      token: { text, issuer: ISSUER },
      clusterId: undefined,
      address: "",
      clientCertificate: () => undefined,
    });
  const identity = {
    trustDomain: "cluster.local",
    namespace: "shop",
    serviceAccount: "cart",
    pod: { name: "cart-1", uid: "pod-1" },
  };
  assert.deepEqual(await authenticate(), identity);
  for (const other of [undefined, { ...POD, uid: "pod-2" }, { ...POD, serviceAccount: "ratings" }]) {
    pod = other;
    await assert.rejects(authenticate(), { reason: "token-unbound" });
  }
  pod = POD;
  for (const uid of [undefined, "account-2"]) {
    accountUid = uid;
    await assert.rejects(authenticate(), { reason: "token-unbound" });
  }
  accountUid = "account-1";
  assert.deepEqual(await authenticate(), identity);
  assert.equal(verified, 1, "its signature is remembered meanwhile");
});
