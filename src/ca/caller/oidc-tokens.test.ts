import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync, type KeyObject } from "node:crypto";
import { createServer } from "node:https";
import { type TestContext, test } from "node:test";
import { SignJWT } from "jose";
import { grpcCertificate } from "../../../test/support/grpc-certificate.ts";
import { createManualClock } from "../../../test/support/manual-clock.ts";
import { until } from "../../../test/support/until.ts";
import { listenOn } from "../../../test/support/upstream.ts";
import { createOutboundFetch } from "../../platform/outbound-fetch.ts";
import { Refusal } from "../refusal.ts";
import { createAuthenticate } from "./authenticate.ts";
import { createOidcTokens } from "./oidc-tokens.ts";

const START = Date.parse("2026-08-01T00:00:00Z");
const NOW = START / 1000;
const newKey = (kid: string) => ({ kid, ...generateKeyPairSync("ec", { namedCurve: "P-256" }) });
type Key = ReturnType<typeof newKey>;

/** An OpenID Connect issuer on a real HTTPS server. */
async function startIssuer(t: TestContext, first: Key) {
  const { certificate, rootPem } = await grpcCertificate(t, ["localhost"]);
  const state = { keys: [first], isUp: true, discovered: undefined as string | undefined, fetches: 0 };
  const server = createServer({ cert: certificate.certPem, key: certificate.keyPem }, (request, response) => {
    if (!state.isUp) response.statusCode = 503;
    if (request.url === "/.well-known/openid-configuration") {
      response.end(JSON.stringify({ issuer: state.discovered ?? url, jwks_uri: `${url}/keys` }));
    } else {
      state.fetches++;
      const keys = state.keys.map(({ kid, publicKey }) => ({ ...publicKey.export({ format: "jwk" }), kid }));
      response.end(JSON.stringify({ keys }));
    }
  });
  const url = `https://localhost:${await listenOn(t, server, "127.0.0.1")}`;
  const clock = createManualClock(START);
  const authenticatorWith = (fetch: ReturnType<typeof createOutboundFetch>) => {
    const audiences = ["istio-ca"];
    const oidc = createOidcTokens({ issuer: url, audiences, trustDomain: "cluster.local", fetch, clock });
    return createAuthenticate([oidc]);
  };
  const authenticate = authenticatorWith(createOutboundFetch({ rootsPem: rootPem, mayDial: () => true }));
  return { state, url, clock, authenticatorWith, authenticate: (token: string) => authenticate({ token }) };
}

function claimsOf(iss: string, changed: object = {}) {
  const sub = "system:serviceaccount:shop:cart";
  return { iss, aud: "istio-ca", sub, iat: NOW, exp: NOW + 86_400, ...changed };
}

const sign = ({ kid, privateKey }: { kid: string; privateKey: KeyObject }, claims: object) =>
  new SignJWT({ ...claims }).setProtectedHeader({ alg: "ES256", kid }).sign(privateKey);
const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");

test("a token of the issuer names a workload, and what is wrong with another is told", async (t) => {
  const key = newKey("one");
  const { url, authenticate } = await startIssuer(t, key);
  const identity = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" };
  assert.deepEqual(await authenticate(await sign(key, claimsOf(url))), identity);
  assert.deepEqual(await authenticate(await sign(key, claimsOf(url, { exp: NOW - 29 }))), identity, "clock skew");
  const unsigned = (alg: string) => `${encode({ alg, kid: "one" })}.${encode(claimsOf(url))}`;
  const pem = key.publicKey.export({ type: "spki", format: "pem" });
  const hmac = createHmac("sha256", pem).update(unsigned("HS256")).digest("base64url");
  const table: [string, string, string][] = [
    ["expired", await sign(key, claimsOf(url, { exp: NOW - 31 })), "token-expired"],
    ["of tomorrow", await sign(key, claimsOf(url, { nbf: NOW + 31 })), "token-not-yet-valid"],
    ["for another", await sign(key, claimsOf(url, { aud: "api" })), "token-wrong-audience"],
    ["forged", await sign({ ...newKey("x"), kid: "one" }, claimsOf(url)), "token-bad-signature"],
    ["of another issuer", await sign(key, claimsOf("https://other.example")), "token-untrusted-issuer"],
    ["of a user", await sign(key, claimsOf(url, { sub: "alice" })), "token-no-workload"],
    ["alg none", `${unsigned("none")}.`, "token-bad-signature"],
    ["HS256 with the public key", `${unsigned("HS256")}.${hmac}`, "token-bad-signature"],
  ];
  for (const [title, token, reason] of table) await assert.rejects(authenticate(token), { reason }, title);
});

test("tokens that were made up make the issuer be asked every two seconds at most, and lock no new key out", async (t) => {
  const [old, next, unknown] = [newKey("old"), newKey("next"), newKey("unknown")];
  const { state, url, clock, authenticate } = await startIssuer(t, old);
  await authenticate(await sign(old, claimsOf(url)));
  const madeUp = await Promise.all(["1", "2", "3"].map((jti) => sign(unknown, claimsOf(url, { jti }))));
  const refused = Promise.all(
    madeUp.map((token) => assert.rejects(authenticate(token), { reason: "token-bad-signature" })),
  );
  state.keys = [next];
  const accepted = authenticate(await sign(next, claimsOf(url)));
  await until("all of them to wait for one fetch", () => clock.pending() === 1);
  assert.equal(state.fetches, 1);
  clock.advance(1999);
  assert.equal(clock.pending(), 1);
  clock.advance(1);
  await Promise.all([refused, accepted]);
  assert.equal(state.fetches, 2);
  const late = authenticate(await sign(old, claimsOf(url, { jti: "4" })));
  await until("the next fetch to be planned", () => clock.pending() === 1);
  clock.advance(2000);
  await assert.rejects(late, { reason: "token-bad-signature" });
});

test("many at once share the first fetch, and too many with unknown keys are sent away", async (t) => {
  const [key, unknown] = [newKey("one"), newKey("unknown")];
  const { state, url, clock, authenticate } = await startIssuer(t, key);
  const tokens = await Promise.all(Array.from({ length: 20 }, (_, jti) => sign(key, claimsOf(url, { jti: `${jti}` }))));
  await Promise.all(tokens.map(authenticate));
  assert.equal(state.fetches, 1);
  const token = await sign(unknown, claimsOf(url));
  const answers = Array.from({ length: 1100 }, () => authenticate(token).catch((error: Error) => error));
  await until("them to wait", () => clock.pending() === 1);
  await Promise.all(answers.slice(1000));
  clock.advance(2000);
  const reasons = (await Promise.all(answers)).map((answer) => (answer instanceof Refusal ? answer.reason : null));
  assert.deepEqual(Map.groupBy(reasons, (reason) => reason).get("overloaded")?.length, 100);
  assert.deepEqual(new Set(reasons), new Set(["token-bad-signature", "overloaded"]));
  assert.equal(state.fetches, 2);
  await authenticate(await sign(key, claimsOf(url, { jti: "known" })));
});

test("while the issuer is down a token with an unknown key cannot be judged, and one with a known key can", async (t) => {
  const [key, unknown] = [newKey("one"), newKey("unknown")];
  const { state, url, clock, authenticate } = await startIssuer(t, key);
  await authenticate(await sign(key, claimsOf(url)));
  state.isUp = false;
  clock.advance(2000);
  await assert.rejects(authenticate(await sign(unknown, claimsOf(url))), { reason: "issuer-unavailable" });
  await authenticate(await sign(key, claimsOf(url, { jti: "1" })));
});

test("an issuer that is down ends no workload for an hour, and then its tokens cannot be judged", async (t) => {
  const key = newKey("one");
  const { state, url, clock, authenticate } = await startIssuer(t, key);
  await authenticate(await sign(key, claimsOf(url)));
  state.isUp = false;
  clock.advance(59 * 60_000);
  await authenticate(await sign(key, claimsOf(url, { jti: "1" })));
  clock.advance(60_000);
  const late = await sign(key, claimsOf(url, { jti: "2" }));
  await assert.rejects(authenticate(late), { code: "unavailable", reason: "issuer-unavailable" });
});

test("a discovery document of another issuer is not believed", async (t) => {
  const key = newKey("one");
  const { state, url, authenticate } = await startIssuer(t, key);
  state.discovered = "https://other.example";
  await assert.rejects(authenticate(await sign(key, claimsOf(url))), { reason: "issuer-unavailable" });
});

test("an issuer at an address of the machine itself is not dialled", async (t) => {
  const key = newKey("one");
  const { state, url, authenticatorWith } = await startIssuer(t, key);
  const authenticate = authenticatorWith(createOutboundFetch());
  await assert.rejects(authenticate({ token: await sign(key, claimsOf(url)) }), (error: Error) => {
    assert.match(String(error.cause instanceof Error && error.cause.cause), /no address that may be dialled/);
    return true;
  });
  assert.equal(state.fetches, 0);
});
