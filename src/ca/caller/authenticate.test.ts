import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { createManualClock } from "../../../test/support/manual-clock.ts";
import { temporaryState } from "../../../test/support/state.ts";
import type { WorkloadIdentity } from "../identity.ts";
import { loadTokenIssuer, type TokenIssuer } from "../jwt/token-issuer.ts";
import { bearerToken, createAuthenticate } from "./authenticate.ts";
import { createMeshTokens } from "./mesh-tokens.ts";

const START = Date.parse("2026-08-01T00:00:00Z");
const NOW = START / 1000;
const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
const otherKeys = generateKeyPairSync("ec", { namedCurve: "P-256" });
const rsaKeys = generateKeyPairSync("rsa", { modulusLength: 2048 });

type AuthenticateToken = (token: string | undefined) => Promise<WorkloadIdentity>;

function authenticatorOf(issuer: { readonly publicKey: KeyObject }): AuthenticateToken {
  const clock = createManualClock(START);
  const audiences = ["istio-ca"];
  const authenticate = createAuthenticate([
    createMeshTokens({ issuer, audiences, trustDomain: "cluster.local", clock }),
  ]);
  return (token) => authenticate({ token });
}

const authenticate = authenticatorOf(keys);

const cart = {
  iss: "https://trysail.local",
  aud: ["istio-ca"],
  sub: "system:serviceaccount:shop:cart",
  iat: NOW,
  nbf: NOW,
  exp: NOW + 3600,
  jti: "1",
  "kubernetes.io": {
    namespace: "shop",
    serviceaccount: { name: "cart", uid: "u-1" },
    pod: { name: "cart-v1-0", uid: "p-1" },
  },
};

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A token made by hand, so that it can say what no library would. */
function forge(payload: unknown, options: { header?: object; key?: KeyObject } = {}): string {
  const signed = `${encode(options.header ?? { alg: "ES256" })}.${encode(payload)}`;
  const key = options.key ?? keys.privateKey;
  const signature = sign("sha256", Buffer.from(signed), { key, dsaEncoding: "ieee-p1363" });
  return `${signed}.${signature.toString("base64url")}`;
}

/** The claims of `cart` for another namespace and account, all of which agree. */
function namesOf(namespace: unknown, name: unknown, pod: unknown = undefined): object {
  const bound = { namespace, serviceaccount: { name, uid: "u-1" }, ...(pod === undefined ? {} : { pod }) };
  return { ...cart, sub: `system:serviceaccount:${namespace}:${name}`, "kubernetes.io": bound };
}

async function issuerAndAuthenticator(t: TestContext): Promise<[TokenIssuer, AuthenticateToken]> {
  const clock = createManualClock(START);
  const issuer = await loadTokenIssuer({ state: await temporaryState(t), clock });
  return [issuer, authenticatorOf(issuer)];
}

test("a token of the mesh's issuer gives the identity it was made for", async (t) => {
  const [issuer, authenticateOurs] = await issuerAndAuthenticator(t);
  const pod = { name: "cart-v1-0", uid: "1234-abcd" };
  assert.deepEqual(
    await authenticateOurs(await issuer.issue({ namespace: "shop", serviceAccount: "cart", pod, ttlMs: 60_000 })),
    {
      trustDomain: "cluster.local",
      namespace: "shop",
      serviceAccount: "cart",
      pod,
    },
  );
  assert.deepEqual(
    await authenticateOurs(await issuer.issue({ namespace: "shop", serviceAccount: "v1.cart", ttlMs: 60_000 })),
    {
      trustDomain: "cluster.local",
      namespace: "shop",
      serviceAccount: "v1.cart",
    },
  );
});

test("a hand-made token with the issuer's key passes, so that the refusals below are for their own reasons", async () => {
  assert.equal((await authenticate(forge(cart))).serviceAccount, "cart");
});

test("clocks may stand half a minute apart, and no further", async () => {
  await authenticate(forge({ ...cart, exp: NOW - 29 }));
  await authenticate(forge({ ...cart, nbf: NOW + 30 }));
  await assert.rejects(authenticate(forge({ ...cart, exp: NOW - 30 })), /token expired at/);
  await assert.rejects(authenticate(forge({ ...cart, nbf: NOW + 31 })), /not valid before/);
});

const UNTRUSTED = "token of an issuer that this mesh does not trust";
const NOT_OURS = "token not signed by this mesh's issuer";
const NO_WORKLOAD = "token does not name a workload";
const publicPem = keys.publicKey.export({ type: "spki", format: "pem" }).toString();
const publicDer = keys.publicKey.export({ type: "spki", format: "der" });
const unsigned = `${encode({ alg: "none" })}.${encode(cart)}.`;
const hmacSigned = (secret: string | Buffer): string => {
  const signed = `${encode({ alg: "HS256" })}.${encode(cart)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
};
const without = (claim: string): object => Object.fromEntries(Object.entries(cart).filter(([name]) => name !== claim));
const [goodHeader, goodPayload, goodSignature] = forge(cart).split(".");

const hostile: { title: string; token: string | undefined; message: string | RegExp }[] = [
  { title: "no token", token: undefined, message: "no token" },
  { title: "an empty token", token: "", message: "no token" },
  {
    title: "an expired token",
    token: forge({ ...cart, exp: NOW - 60 }),
    message: "token expired at 2026-07-31T23:59:00.000Z",
  },
  {
    title: "a token of tomorrow",
    token: forge({ ...cart, nbf: NOW + 86_400 }),
    message: "token is not valid before 2026-08-02T00:00:00.000Z",
  },
  { title: "another audience", token: forge({ ...cart, aud: ["api"] }), message: "token has another audience" },
  { title: "no audience", token: forge(without("aud")), message: "token has another audience" },
  { title: "another issuer's key", token: forge(cart, { key: otherKeys.privateKey }), message: NOT_OURS },
  { title: "another issuer's name", token: forge({ ...cart, iss: "https://other" }), message: UNTRUSTED },
  { title: "no issuer", token: forge(without("iss")), message: UNTRUSTED },
  { title: "alg none", token: unsigned, message: NOT_OURS },
  { title: "alg None", token: unsigned.replace(encode({ alg: "none" }), encode({ alg: "None" })), message: NOT_OURS },
  {
    title: "alg none with a signature",
    token: `${encode({ alg: "none" })}.${goodPayload}.${goodSignature}`,
    message: NOT_OURS,
  },
  { title: "HS256 with the public key as PEM", token: hmacSigned(publicPem), message: NOT_OURS },
  { title: "HS256 with the public key as DER", token: hmacSigned(publicDer), message: NOT_OURS },
  {
    title: "RS256 with another key",
    token: forge(cart, { header: { alg: "RS256" }, key: rsaKeys.privateKey }),
    message: NOT_OURS,
  },
  {
    title: "a key of its own in the header",
    token: forge(cart, {
      header: { alg: "ES256", jwk: otherKeys.publicKey.export({ format: "jwk" }) },
      key: otherKeys.privateKey,
    }),
    message: NOT_OURS,
  },
  {
    title: "an unknown critical header",
    token: forge(cart, { header: { alg: "ES256", crit: ["x"], x: 1 } }),
    message: "token is malformed",
  },
  {
    title: "a changed payload",
    token: `${goodHeader}.${encode({ ...cart, sub: "system:serviceaccount:shop:admin" })}.${goodSignature}`,
    message: NOT_OURS,
  },
  { title: "no signature", token: `${goodHeader}.${goodPayload}.`, message: NOT_OURS },
  {
    title: "a signature of zeros",
    token: `${goodHeader}.${goodPayload}.${Buffer.alloc(64).toString("base64url")}`,
    message: NOT_OURS,
  },
  { title: "two parts", token: `${goodHeader}.${goodPayload}`, message: "token is malformed" },
  { title: "four parts", token: `${forge(cart)}.x`, message: "token is malformed" },
  { title: "no token at all", token: "hello", message: "token is malformed" },
  { title: "a payload that is a list", token: forge([]), message: "token is malformed" },
  { title: "a payload that is null", token: forge(null), message: "token is malformed" },
  { title: "a very long token", token: "a".repeat(20_000), message: "token is too long" },
  { title: "no expiry", token: forge(without("exp")), message: "token lacks a claim" },
  { title: "an expiry in words", token: forge({ ...cart, exp: "never" }), message: "token lacks a claim" },
  { title: "no time of issue", token: forge(without("iat")), message: "token lacks a claim" },
  { title: "no subject", token: forge(without("sub")), message: "token lacks a claim" },
  { title: "no bound objects", token: forge(without("kubernetes.io")), message: NO_WORKLOAD },
  {
    title: "a subject of another account",
    token: forge({ ...cart, sub: "system:serviceaccount:shop:admin" }),
    message: NO_WORKLOAD,
  },
  {
    title: "a subject of another namespace",
    token: forge({ ...cart, sub: "system:serviceaccount:bank:cart" }),
    message: NO_WORKLOAD,
  },
  { title: "a user's subject", token: forge({ ...cart, sub: "alice" }), message: NO_WORKLOAD },
  {
    title: "a subject with more parts",
    token: forge({ ...cart, sub: "system:serviceaccount:shop:cart:x" }),
    message: NO_WORKLOAD,
  },
  { title: "a namespace that climbs", token: forge(namesOf("..", "cart")), message: NO_WORKLOAD },
  { title: "an account that climbs", token: forge(namesOf("shop", "..")), message: NO_WORKLOAD },
  { title: "an account of one dot", token: forge(namesOf("shop", ".")), message: NO_WORKLOAD },
  {
    title: "a path in the account",
    token: forge(namesOf("shop", "cart/../../../ns/bank/sa/vault")),
    message: NO_WORKLOAD,
  },
  { title: "a path in the namespace", token: forge(namesOf("shop/sa/cart", "x")), message: NO_WORKLOAD },
  { title: "an encoded path", token: forge(namesOf("shop", "cart%2f..%2fvault")), message: NO_WORKLOAD },
  { title: "a namespace with a dot", token: forge(namesOf("shop.bank", "cart")), message: NO_WORKLOAD },
  { title: "a colon in the namespace", token: forge(namesOf("shop:cart", "x")), message: NO_WORKLOAD },
  { title: "capitals", token: forge(namesOf("Shop", "cart")), message: NO_WORKLOAD },
  { title: "a letter that looks like another", token: forge(namesOf("shop", "c\u0430rt")), message: NO_WORKLOAD },
  { title: "a line end behind the name", token: forge(namesOf("shop", "cart\n")), message: NO_WORKLOAD },
  { title: "a null byte", token: forge(namesOf("shop", "cart\0")), message: NO_WORKLOAD },
  { title: "a comma, as a second name", token: forge(namesOf("shop", "cart, DNS:vault")), message: NO_WORKLOAD },
  { title: "empty names", token: forge(namesOf("", "")), message: NO_WORKLOAD },
  { title: "a name of 254 characters", token: forge(namesOf("shop", `${"a.".repeat(126)}ab`)), message: NO_WORKLOAD },
  { title: "a label of 64 characters", token: forge(namesOf("a".repeat(64), "cart")), message: NO_WORKLOAD },
  { title: "a name that is a list", token: forge(namesOf(["shop"], "cart")), message: NO_WORKLOAD },
  { title: "a name that is a number", token: forge(namesOf(1, 2)), message: NO_WORKLOAD },
  { title: "a pod that is null", token: forge(namesOf("shop", "cart", null)), message: NO_WORKLOAD },
  { title: "a pod without a uid", token: forge(namesOf("shop", "cart", { name: "cart-0" })), message: NO_WORKLOAD },
  {
    title: "a pod with a path",
    token: forge(namesOf("shop", "cart", { name: "../x", uid: "1" })),
    message: NO_WORKLOAD,
  },
  {
    title: "a pod's uid with a path",
    token: forge(namesOf("shop", "cart", { name: "x", uid: "../1" })),
    message: NO_WORKLOAD,
  },
];
for (const { title, token, message } of hostile) {
  test(`refused: ${title}`, async () => {
    await assert.rejects(authenticate(token), { name: "TrysailError", code: "unauthenticated", message });
  });
}

test("the reason for the log is kept apart from the message, and holds no token", async () => {
  const token = forge(cart, { key: otherKeys.privateKey });
  await assert.rejects(authenticate(token), (error: Error) => {
    assert.match(String(error.cause), /signature verification failed/);
    assert.ok(!String(error.cause).includes(goodPayload ?? "?"));
    return true;
  });
});

test("whatever text comes as a token, the answer is unauthenticated", async () => {
  const part = fc.oneof(
    fc.string({ maxLength: 40 }),
    fc.jsonValue().map(encode),
    fc.constantFrom(goodHeader ?? "", goodPayload ?? "", goodSignature ?? ""),
    fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes).toString("base64url")),
  );
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.array(part, { maxLength: 6 }).map((parts) => parts.join(".")),
  );
  await fc.assert(
    fc.asyncProperty(text, async (token) => {
      fc.pre(token !== forge(cart) && !token.startsWith(`${goodHeader}.${goodPayload}.`));
      await assert.rejects(authenticate(token), { name: "TrysailError", code: "unauthenticated" });
    }),
    { numRuns: 300 },
  );
});

test("whatever a signed payload says, it gives a valid identity or none", async () => {
  const name = fc.oneof(
    fc.string({ maxLength: 12 }),
    fc.constantFrom("shop", "cart", "..", "a/b", "a.b", "-a"),
    // The test itself makes a text of it, for the subject.
    fc.jsonValue().filter((value) => !JSON.stringify(value).includes('"toString"')),
  );
  const payload = fc.record({ namespace: name, account: name, extra: fc.jsonValue() });
  await fc.assert(
    fc.asyncProperty(payload, async ({ namespace, account, extra }) => {
      const claims = namesOf(namespace, account, extra === null ? undefined : extra);
      const identity = await authenticate(forge(claims)).catch((error: Error & { code?: string }) => {
        assert.equal(error.code, "unauthenticated");
        return undefined;
      });
      if (identity === undefined) return;
      assert.match(`${identity.namespace}/${identity.serviceAccount}`, /^[a-z0-9-]+\/[a-z0-9.-]+$/);
    }),
    { numRuns: 200 },
  );
});

const headers: [string | undefined, string | undefined][] = [
  [undefined, undefined],
  ["", undefined],
  ["Bearer", undefined],
  ["Bearer ", undefined],
  ["Basic YTpi", undefined],
  ["Bearer a.b.c", "a.b.c"],
  ["bearer a.b.c", "a.b.c"],
  ["Bearer  a.b-c_d", "a.b-c_d"],
  ["Bearer a b", undefined],
  ["Bearer a, Bearer b", undefined],
  ["Bearer a\nb", undefined],
  ["xBearer a", undefined],
];
for (const [header, token] of headers) {
  test(`the header ${JSON.stringify(header)} carries ${token ?? "no token"}`, () => {
    assert.equal(bearerToken(header), token);
  });
}
