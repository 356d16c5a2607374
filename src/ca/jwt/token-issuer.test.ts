import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { readFile, stat, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { decodeJwt, decodeProtectedHeader, jwtVerify } from "jose";
import { createManualClock } from "../../../test/support/manual-clock.ts";
import { temporaryState } from "../../../test/support/state.ts";
import { loadTokenIssuer } from "./token-issuer.ts";

const START = Date.parse("2026-08-01T00:00:00Z");
const clock = createManualClock(START);
const cart = { namespace: "shop", serviceAccount: "cart", ttlMs: 12 * 60 * 60 * 1000 };

test("a token has the claims of a Kubernetes bound service-account token", async (t) => {
  const issuer = await loadTokenIssuer({ state: await temporaryState(t), clock });
  const token = await issuer.issue({ ...cart, pod: { name: "cart-v1-0", uid: "1234-abcd" } });
  const { jti, ...payload } = decodeJwt(token);
  const bound = payload["kubernetes.io"] as { serviceaccount: { uid: string } };
  assert.deepEqual(payload, {
    iss: "https://trysail.local",
    aud: ["istio-ca"],
    sub: "system:serviceaccount:shop:cart",
    iat: START / 1000,
    nbf: START / 1000,
    exp: START / 1000 + 43_200,
    "kubernetes.io": {
      namespace: "shop",
      serviceaccount: { name: "cart", uid: bound.serviceaccount.uid },
      pod: { name: "cart-v1-0", uid: "1234-abcd" },
    },
  });
  assert.match(bound.serviceaccount.uid, /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.match(String(jti), /^[0-9a-f]{32}$/);
  assert.equal(decodeProtectedHeader(token).alg, "ES256");
  await jwtVerify(token, issuer.publicKey, { currentDate: new Date(START) });
});

test("audience and pod are as asked; two tokens differ; an account keeps its uid", async (t) => {
  const issuer = await loadTokenIssuer({ state: await temporaryState(t), clock });
  const [one, two] = [await issuer.issue({ ...cart, audience: "other" }), await issuer.issue(cart)].map((token) =>
    decodeJwt(token),
  );
  assert.deepEqual(one?.aud, ["other"]);
  assert.deepEqual(one?.["kubernetes.io"], two?.["kubernetes.io"]);
  assert.equal(Object.hasOwn(two?.["kubernetes.io"] as object, "pod"), false);
  assert.notEqual(one?.jti, two?.jti);
});

test("a restart keeps the key, readable by its owner alone", async (t) => {
  const state = await temporaryState(t);
  const first = await loadTokenIssuer({ state, clock });
  const second = await loadTokenIssuer({ state, clock });
  assert.deepEqual([first.isNew, second.isNew], [true, false]);
  await jwtVerify(await first.issue(cart), second.publicKey, { currentDate: new Date(START) });
  assert.equal((await stat(`${state.path}/issuer/key.jwk`)).mode & 0o777, 0o600);
});

test("issuers that start at once on one folder end with the same key", async (t) => {
  const state = await temporaryState(t);
  const issuers = await Promise.all(Array.from({ length: 8 }, () => loadTokenIssuer({ state, clock })));
  assert.equal(issuers.filter((issuer) => issuer.isNew).length, 1);
  const keys = new Set(issuers.map((issuer) => JSON.stringify(issuer.publicKey.export({ format: "jwk" }))));
  assert.equal(keys.size, 1);
});

const refused = [
  { title: "a namespace with a slash", request: { ...cart, namespace: "shop/sa" } },
  { title: "a namespace that climbs", request: { ...cart, namespace: ".." } },
  { title: "a service account with a colon", request: { ...cart, serviceAccount: "a:b" } },
  { title: "a pod's name in capitals", request: { ...cart, pod: { name: "Cart", uid: "1" } } },
  { title: "a pod's uid with a space", request: { ...cart, pod: { name: "cart", uid: "1 2" } } },
  { title: "no audience", request: { ...cart, audience: "" } },
  { title: "no time to live", request: { ...cart, ttlMs: 0 } },
  { title: "endless time to live", request: { ...cart, ttlMs: Number.POSITIVE_INFINITY } },
];
for (const { title, request } of refused) {
  test(`no token is made for ${title}`, async (t) => {
    const issuer = await loadTokenIssuer({ state: await temporaryState(t), clock });
    await assert.rejects(issuer.issue(request), { name: "TrysailError", code: "invalid-argument" });
  });
}

const jwk = (curve: string): string =>
  JSON.stringify(generateKeyPairSync("ec", { namedCurve: curve }).privateKey.export({ format: "jwk" }));
const damages = [
  { title: "an empty file", content: "" },
  { title: "half a file", content: jwk("P-256").slice(0, 90) },
  { title: "a list", content: "[]" },
  { title: "a public key", content: JSON.stringify({ ...JSON.parse(jwk("P-256")), d: undefined }) },
  { title: "another curve", content: jwk("P-384") },
  {
    title: "halves of two keys",
    content: JSON.stringify({ ...JSON.parse(jwk("P-256")), d: JSON.parse(jwk("P-256")).d }),
  },
];
for (const { title, content } of damages) {
  test(`${title} in the key's place stops the start, and is neither replaced nor quoted`, async (t) => {
    const state = await temporaryState(t);
    await state.writeStateAtomically("issuer/key.jwk", content, 0o600);
    await assert.rejects(loadTokenIssuer({ state, clock }), (error: Error & { code?: string }) => {
      assert.equal(error.code, "failed-precondition");
      assert.ok(error.message.includes(`${state.path}/issuer/key.jwk`), error.message);
      assert.match(error.message, /backup, or move it away/);
      const secret = /"d":"([^"]{10})/.exec(content)?.[1];
      if (secret !== undefined) assert.ok(!`${error.message}${error.cause}`.includes(secret), "the key is not quoted");
      return true;
    });
    assert.equal(await readFile(`${state.path}/issuer/key.jwk`, "utf8"), content);
  });
}

test("a folder with other files but no key is not taken for a first start", async (t) => {
  const state = await temporaryState(t);
  await state.writeStateAtomically("issuer/notes.txt", "x", 0o600);
  await writeFile(`${state.path}/issuer/notes.txt`, "y");
  await assert.rejects(loadTokenIssuer({ state, clock }), { code: "failed-precondition" });
});
