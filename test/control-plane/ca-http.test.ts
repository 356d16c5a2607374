import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHmac, createPrivateKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import { copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { createLocalJWKSet, type JWTPayload, jwtVerify, SignJWT } from "jose";
import { parseSpiffeBundle } from "../../src/ca/bundle/parse-spiffe-bundle.ts";
import { uriName } from "../../src/ca/x509/extensions.ts";
import { certificatesOf } from "../../src/ca/x509/pem-certificates.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { temporaryAuthority } from "../support/authority.ts";
import { identityOf } from "../support/caller.ts";
import { type TestControlPlane, testControlPlane } from "../support/control-plane.ts";
import { buildCsr, csrPem } from "../support/csr.ts";
import { openssl, opensslText } from "../support/openssl.ts";
import { refusals } from "../support/refusals.ts";
import { temporaryPath } from "../support/state.ts";
import { until } from "../support/until.ts";

/** The authority's HTTP API of a whole control plane, asked by curl and judged by openssl. */

const run = promisify(execFile);
const HOUR_MS = 3_600_000;
const CART = { namespace: "shop", serviceAccount: "cart" };
const CART_ID = "spiffe://cluster.local/ns/shop/sa/cart";
const cartKeys = generateKeyPairSync("ec", { namedCurve: "P-256" });

interface Answer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

/** One request by the real curl; `args` go before the address. */
async function curl(mesh: TestControlPlane, path: string, ...args: string[]): Promise<Answer> {
  const url = `https://localhost:${mesh.ports.https}${path}`;
  // Without `Expect`, a body that is refused is answered once and not after a "100 Continue".
  const usual = ["-sS", "-i", "--http1.1", "--cacert", mesh.rootPath, "-H", "Expect:"];
  const { stdout } = await run("curl", [...usual, ...args, url], { maxBuffer: 1 << 22 });
  const end = stdout.indexOf("\r\n\r\n");
  const [statusLine = "", ...lines] = stdout.slice(0, end).split("\r\n");
  const headers = lines.map((line): [string, string] => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  });
  return { status: Number(statusLine.split(" ")[1]), headers: new Map(headers), body: stdout.slice(end + 4) };
}

const bearer = (token: string) => ["-H", `Authorization: Bearer ${token}`];
const type = (mediaType: string) => ["-H", `Content-Type: ${mediaType}`];

async function tokenOf(mesh: TestControlPlane, account = CART): Promise<string> {
  return mesh.issuer.issue({ ...account, ttlMs: HOUR_MS });
}

/** `--data-binary` with these bytes, by way of a file, which has room for any. */
async function data(t: TestContext, bytes: string | Uint8Array): Promise<string[]> {
  const file = await temporaryPath(t, "body");
  await writeFile(file, bytes);
  return ["--data-binary", `@${file}`];
}

test("the commands of docs/ca.md work as they stand there", async (t) => {
  const mesh = await testControlPlane(t, {});
  const dir = await temporaryPath(t, "work");
  await mkdir(dir);
  await copyFile(mesh.rootPath, join(dir, "root-cert.pem"));
  const page = await readFile(new URL("../../docs/ca.md", import.meta.url), "utf8");
  const section = page.slice(page.indexOf("\n## Endpoints\n"), page.indexOf("\n### What is refused\n"));
  const commands = section.split("\n").flatMap((line) => (line.startsWith("    ") ? [line.trim()] : []));
  assert.equal(commands.filter((line) => line.startsWith("curl")).length, 6);
  const env = { ...process.env, TRYSAIL: `https://localhost:${mesh.ports.https}`, TOKEN: await tokenOf(mesh) };
  // A second time, the bundle is there already, and its ETag.
  for (let round = 0; round < 2; round++) {
    await run("bash", ["-euo", "pipefail", "-c", commands.join("\n")], { cwd: dir, env });
  }

  const rootPem = await readFile(mesh.rootPath, "utf8");
  const [leaf] = certificatesOf(await readFile(join(dir, "chain.pem"), "utf8"));
  const [renewed] = certificatesOf(await readFile(join(dir, "renewed.pem"), "utf8"));
  for (const certificate of [leaf, renewed]) assert.equal(certificate?.subjectAltName, `URI:${CART_ID}`);
  assert.notEqual(leaf?.serialNumber, renewed?.serialNumber);
  assert.equal(await readFile(join(dir, "bundle.pem"), "utf8"), rootPem);

  const answer = JSON.parse(await readFile(join(dir, "answer.json"), "utf8"));
  const [inJson] = certificatesOf(answer.certificateChain);
  assert.deepEqual(answer, {
    spiffeId: CART_ID,
    serialNumber: answer.serialNumber,
    notAfter: inJson?.validToDate.toISOString(),
    certificateChain: answer.certificateChain,
    trustBundle: rootPem,
  });
  assert.equal(BigInt(`0x${answer.serialNumber}`), BigInt(`0x${inJson?.serialNumber}`));

  // Who accepts a JWT-SVID has the key from the bundle, and asks for its own name among the audiences.
  const bundle = await readFile(join(dir, "bundle.json"), "utf8");
  assert.equal(parseSpiffeBundle(bundle, Date.now()).rootsPem, rootPem);
  const jwtKeys = JSON.parse(bundle).keys.filter((key: { use: string }) => key.use === "jwt-svid");
  const svid = JSON.parse(await readFile(join(dir, "jwt-svid.json"), "utf8"));
  const keySet = createLocalJWKSet({ keys: jwtKeys.map(({ use: _, ...key }: { use: string }) => key) });
  const { payload } = await jwtVerify(svid.token, keySet, { audience: "ledger", algorithms: ["ES256"] });
  assert.equal(payload.sub, CART_ID);
  assert.deepEqual([svid.spiffeId, svid.notAfter], [CART_ID, new Date((payload.exp ?? 0) * 1000).toISOString()]);
  assert.equal((payload.exp ?? 0) - (payload.iat ?? 0), 300);
});

test("a request in any form and with any key that is taken gets an X.509-SVID that openssl accepts", async (t) => {
  const mesh = await testControlPlane(t, {});
  const token = await tokenOf(mesh);
  const ec = (namedCurve: string) => generateKeyPairSync("ec", { namedCurve });
  const cases = [
    { keys: ec("P-256"), form: "application/pkcs10" },
    { keys: ec("P-384"), form: "application/x-pem-file" },
    { keys: generateKeyPairSync("rsa", { modulusLength: 2048 }), form: "text/plain; charset=utf-8" },
    { keys: generateKeyPairSync("ed25519"), form: "application/x-www-form-urlencoded" },
  ];
  for (const { keys, form } of cases) {
    const csr = buildCsr({ keys, names: [uriName(CART_ID)] });
    const body = await data(t, form === "application/pkcs10" ? csr : csrPem(csr));
    const {
      status,
      headers,
      body: chain,
    } = await curl(mesh, "/v1/certificates", ...bearer(token), ...type(form), ...body);
    assert.deepEqual([status, headers.get("content-type")], [200, "application/pem-certificate-chain"], chain);
    const file = await temporaryPath(t, "leaf.pem");
    await writeFile(file, chain);
    assert.match(await openssl("verify", "-x509_strict", "-CAfile", mesh.rootPath, file), /: OK$/m);
    const text = await opensslText(file);
    const at = text.indexOf("X509v3 Subject Alternative Name: critical");
    assert.equal(text[at + 1], `URI:${CART_ID}`);
    assert.ok(text.includes("Subject:") && text.includes("CA:FALSE") && text.includes("Digital Signature"), chain);
    assert.deepEqual(
      new X509Certificate(chain).publicKey.export({ type: "spki", format: "der" }),
      keys.publicKey.export({ type: "spki", format: "der" }),
    );
  }
});

test("a life that is asked for is given, and cut to what the root allows", async (t) => {
  const mesh = await testControlPlane(t, {});
  const token = await tokenOf(mesh);
  const lifeMs = async (query: string) => {
    const body = await data(t, buildCsr({ keys: cartKeys }));
    const { status, body: chain } = await curl(
      mesh,
      `/v1/certificates${query}`,
      ...[...bearer(token), ...type("application/pkcs10"), ...body],
    );
    assert.equal(status, 200, chain);
    return new X509Certificate(chain).validToDate.getTime() - Date.now();
  };
  const isAbout = (actual: number, wanted: number) => assert.ok(Math.abs(actual - wanted) < 60_000, String(actual));
  isAbout(await lifeMs(""), HOUR_MS);
  isAbout(await lifeMs("?ttlSeconds=600"), 600_000);
  isAbout(await lifeMs("?ttlSeconds=9999999999"), 90 * 86_400_000);

  const pem = csrPem(buildCsr({ keys: cartKeys }));
  const endless = await data(t, JSON.stringify({ csr: pem, ttlSeconds: 0 }).replace(":0}", ":1e308}"));
  const { status, body } = await curl(
    mesh,
    "/v1/certificates",
    ...bearer(token),
    ...type("application/json"),
    ...endless,
  );
  assert.equal(status, 200, body);
  isAbout(Date.parse(JSON.parse(body).notAfter) - Date.now(), 90 * 86_400_000);
});

test("while the authority's state cannot be written nobody is told why, but to come again, and then gets a certificate", async (t) => {
  const lines: string[] = [];
  const mesh = await testControlPlane(t, {}, {}, createLog("debug", { write: (line) => void lines.push(line) }));
  const [token, body] = [await tokenOf(mesh), await data(t, buildCsr({ keys: cartKeys }))];
  const ask = () => curl(mesh, "/v1/certificates", ...bearer(token), ...type("application/pkcs10"), ...body);
  // How long its certificates live is written down before the first is signed, as the next step of the authority.
  const next = join(mesh.stateDir, "ca/authority-2.json");
  await writeFile(next, "half of it");
  const { status, headers, body: answer } = await ask();
  assert.equal(status, 503, answer);
  assert.match(headers.get("retry-after") ?? "", /^[1-9]/);
  const told = { error: "the authority cannot sign at this moment: ask again", reason: "signer-unavailable" };
  assert.deepEqual(JSON.parse(answer), told);
  assert.equal((await refusals(mesh)).get("signer-unavailable"), 1);
  assert.ok(
    lines.some((line) => line.includes("certificate refused") && line.includes("authority-2.json is not JSON")),
    "the log has the cause",
  );
  await rm(next);
  assert.equal((await ask()).status, 200);
});

test("the trust bundle answers by format and Accept, with a hint when to look again, and 304 to who has it", async (t) => {
  const mesh = await testControlPlane(t, {});
  const path = "/v1/trust-bundle";
  const pem = await curl(mesh, path);
  const spiffe = await curl(mesh, `${path}?format=spiffe`);
  assert.deepEqual(
    [pem.headers.get("content-type"), spiffe.headers.get("content-type")],
    ["application/x-pem-file", "application/json; charset=utf-8"],
  );
  for (const { status, headers } of [pem, spiffe]) {
    assert.deepEqual(
      [status, headers.get("vary"), headers.get("cache-control")],
      [200, "accept", "public, max-age=300"],
    );
  }
  assert.equal(JSON.parse(spiffe.body).spiffe_refresh_hint, 300);
  const etag = pem.headers.get("etag") ?? "";
  assert.notEqual(etag, spiffe.headers.get("etag"));
  assert.equal((await curl(mesh, path, "-H", "Accept: application/json")).body, spiffe.body);
  assert.equal((await curl(mesh, `${path}?format=pem`, "-H", "Accept: application/json")).body, pem.body);
  for (const known of [etag, `W/${etag}`, `"other", ${etag}`, "*"]) {
    const again = await curl(mesh, path, "-H", `If-None-Match: ${known}`);
    assert.deepEqual([again.status, again.body], [304, ""]);
  }
  assert.equal((await curl(mesh, path, "-H", 'If-None-Match: "other"')).status, 200);
  assert.equal((await curl(mesh, `${path}?format=der`)).status, 400);
});

test("the OpenAPI document is served, and needs no proof", async (t) => {
  const mesh = await testControlPlane(t, {});
  const { status, body } = await curl(mesh, "/v1/openapi.json");
  assert.equal(status, 200);
  assert.equal(JSON.parse(body).openapi, "3.1.0");
});

test("an identity that is revoked gets no JWT-SVID either", async (t) => {
  const policy = {
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { name: "revoked", namespace: "trysail-system", labels: { "trysail.io/revokes-identities": "true" } },
    spec: { action: "DENY", rules: [{ from: [{ source: { principals: ["cluster.local/ns/shop/sa/cart"] } }] }] },
  };
  const mesh = await testControlPlane(t, { "revoked.yaml": JSON.stringify(policy) });
  const ask = async (serviceAccount: string) => {
    const token = await tokenOf(mesh, { namespace: "shop", serviceAccount });
    return curl(mesh, "/v1/jwt-svids", ...bearer(token), ...type("application/json"), "-d", '{"audience":["ledger"]}');
  };
  const refused = await ask("cart");
  assert.deepEqual([refused.status, JSON.parse(refused.body).reason], [403, "identity-revoked"]);
  assert.equal((await ask("page")).status, 200);
  assert.deepEqual(await refusals(mesh), new Map([["identity-revoked", 1]]));
});

interface Hostile {
  readonly title: string;
  /** Arguments of curl; a good token and a good request where there are none. */
  readonly credentials?: readonly string[];
  readonly body?: string | Uint8Array;
  readonly type?: string;
  readonly path?: string;
  readonly status: number;
  readonly reason: string;
}

test("bad input is refused with its status and counted by its reason, and nothing secret is told or logged", async (t) => {
  const lines: string[] = [];
  const log = createLog("debug", { write: (line) => void lines.push(line) });
  const mesh = await testControlPlane(t, {}, {}, log);
  const token = await tokenOf(mesh);
  const before = new X509Certificate(await readFile(mesh.rootPath));

  const elsewhere = await testControlPlane(t, {});
  const shown = async (title: string, identity: Awaited<ReturnType<typeof identityOf>>) => {
    const file = await temporaryPath(t, title);
    await writeFile(file, `${identity.chainPem}${identity.keyPem}`);
    return ["--cert", file];
  };
  const foreignRoot = await identityOf(await temporaryAuthority(t, systemClock), CART);

  const nowSeconds = Math.floor(Date.now() / 1000);
  const claims = payloadOf(token);
  const forger = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const forged = (changes: JWTPayload) =>
    new SignJWT({ ...claims, ...changes }).setProtectedHeader({ alg: "ES256" }).sign(forger.privateKey);
  const issuerPem = mesh.issuer.publicKey.export({ type: "spki", format: "pem" }).toString();
  const issuerKey = createPrivateKey({
    key: JSON.parse(await readFile(join(mesh.stateDir, "issuer/key.jwk"), "utf8")),
    format: "jwk",
  });
  const ownKey = async (changes: JWTPayload) =>
    new SignJWT({ ...claims, ...changes }).setProtectedHeader({ alg: "ES256" }).sign(issuerKey);

  const csr = (names: readonly string[]) => buildCsr({ keys: cartKeys, names: names.map(uriName) });
  const good = buildCsr({ keys: cartKeys });
  const json = (value: unknown) => ({ type: "application/json", body: JSON.stringify(value) });
  const tokens: [string, string, string][] = [
    ["a token of another mesh's key", await tokenOf(elsewhere), "token-bad-signature"],
    ["a forged token", await forged({}), "token-bad-signature"],
    ["alg none", `${encoded({ alg: "none" })}.${encoded(claims)}.`, "token-bad-signature"],
    ["HS256 with the public key", hs256(claims, issuerPem), "token-bad-signature"],
    ["a token of another issuer", await forged({ iss: "https://evil.example" }), "token-untrusted-issuer"],
    ["an expired token", await ownKey({ exp: nowSeconds - 60 }), "token-expired"],
    ["a token of the future", await ownKey({ nbf: nowSeconds + 600 }), "token-not-yet-valid"],
    ["a token without an end", await ownKey({ exp: undefined }), "token-lacks-claim"],
    [
      "another audience",
      await mesh.issuer.issue({ ...CART, audience: "vault", ttlMs: HOUR_MS }),
      "token-wrong-audience",
    ],
    ["a token that names no workload", await ownKey({ sub: "root" }), "token-no-workload"],
    ["nonsense for a token", "nonsense", "token-malformed"],
  ];
  const weak: [string, Uint8Array, string][] = [
    ["RSA 1024", buildCsr({ keys: generateKeyPairSync("rsa", { modulusLength: 1024 }) }), "csr-weak-key"],
    ["P-192", buildCsr({ keys: generateKeyPairSync("ec", { namedCurve: "prime192v1" }) }), "csr-unsupported-key"],
    ["truncated DER", good.subarray(0, good.length - 20), "csr-malformed"],
    ["a certificate", before.raw, "csr-malformed"],
    [
      "another key's signature",
      buildCsr({ keys: { ...cartKeys, privateKey: forger.privateKey } }),
      "csr-bad-signature",
    ],
    ["several URIs", csr([CART_ID, CART_ID]), "csr-other-names"],
    ["somebody else's id", csr(["spiffe://cluster.local/ns/shop/sa/admin"]), "csr-other-names"],
    ["a path with dots", csr(["spiffe://cluster.local/ns/shop/sa/admin/../cart"]), "csr-other-names"],
    ["an escaped path", csr(["spiffe://cluster.local/ns/shop/sa/%2e%2e/cart"]), "csr-other-names"],
    ["an empty segment", csr(["spiffe://cluster.local/ns/shop//sa/cart"]), "csr-other-names"],
    ["letters that look alike", csr(["spiffe://cluster.local/ns/shop/sa/c\u0430rt"]), "csr-other-names"],
    ["hundreds of names", csr(Array.from({ length: 300 }, (_, index) => `${CART_ID}${index}`)), "csr-other-names"],
  ];
  const hostile: Hostile[] = [
    { title: "no token", credentials: [], status: 401, reason: "no-credentials" },
    { title: "another scheme", credentials: ["-u", "admin:admin"], status: 401, reason: "no-credentials" },
    ...tokens.map(([title, bad, reason]) => ({ title, credentials: bearer(bad), status: 401, reason })),
    {
      title: "a certificate of another root",
      credentials: await shown("foreign-root", foreignRoot),
      ...{ status: 401, reason: "no-credentials" },
    },
    ...weak.map(([title, body, reason]) => ({ title, body, status: 400, reason })),
    { title: "text that is no PEM", body: "please", type: "text/plain", status: 400, reason: "csr-malformed" },
    { title: "more than a request may have", body: Buffer.alloc(20_000, 0x30), status: 413, reason: "csr-too-large" },
    { title: "thousands of names", body: csr(Array(4000).fill(CART_ID)), status: 413, reason: "csr-too-large" },
    { title: "a megabyte", body: Buffer.alloc(1 << 20, 0x30), status: 413, reason: "csr-too-large" },
    { title: "PEM in one line", body: csrPem(good).replaceAll("\n", ""), status: 400, reason: "csr-malformed" },
    { title: "no body", body: "", status: 400, reason: "csr-malformed" },
    { title: "XML", type: "application/xml", status: 415, reason: "unsupported-media-type" },
    { title: "no content type", type: "", status: 415, reason: "unsupported-media-type" },
    { title: "broken JSON", type: "application/json", body: "{", status: 400, reason: "bad-request" },
    { title: "deep JSON", type: "application/json", body: "[".repeat(9000), status: 400, reason: "bad-request" },
    { title: "an unknown field", ...json({ csr: csrPem(good), names: ["a"] }), status: 400, reason: "bad-request" },
    { title: "no life", ...json({ csr: csrPem(good), ttlSeconds: 0 }), status: 400, reason: "bad-request" },
    { title: "a life that is no number", path: "?ttlSeconds=1h", status: 400, reason: "bad-request" },
    {
      title: "impersonation by a caller that is not trusted with it",
      ...json({ csr: csrPem(good), impersonatedIdentity: "spiffe://cluster.local/ns/shop/sa/admin" }),
      ...{ status: 403, reason: "impersonation" },
    },
  ];
  const answers: Pick<Hostile, "title" | "status" | "reason">[] = [];
  for (const { title, credentials = bearer(token), body = good, path = "", ...wanted } of hostile) {
    const answer = await curl(
      mesh,
      `/v1/certificates${path}`,
      ...[...credentials, ...type(wanted.type ?? "application/pkcs10"), ...(await data(t, body))],
    );
    const { reason } = JSON.parse(answer.body || "{}");
    answers.push({ title, status: answer.status, reason });
    assert.ok(answer.body.length < 400, `${title}: ${answer.body}`);
  }
  assert.deepEqual(
    answers,
    hostile.map(({ title, status, reason }) => ({ title, status, reason })),
  );
  const byReason = Map.groupBy(hostile, ({ reason }) => reason);
  assert.deepEqual(await refusals(mesh), new Map([...byReason].map(([reason, { length }]) => [reason, length])));
  const audited = lines
    .map((line) => JSON.parse(line))
    .filter(({ msg }) => / refused$/.test(msg) && msg !== "connection refused");
  assert.equal(audited.length, hostile.length);

  // Node reads 16 KB of headers at most, so over HTTP no longer token comes as far as to be counted.
  assert.equal((await curl(mesh, "/v1/certificates", "-X", "POST", ...bearer("a".repeat(17_000)))).status, 431);

  // What was refused has cost nothing, and what is asked well is answered.
  const fine = [...bearer(token), ...type("application/pkcs10"), ...(await data(t, good))];
  assert.equal((await curl(mesh, "/v1/certificates", ...fine)).status, 200);
  const issued = await until("the audit line", () => lines.find((line) => line.includes("certificate issued")));
  assert.equal(JSON.parse(issued).id, CART_ID);
  const logged = lines.join("");
  const secrets = [token, ...tokens.map(([, bad]) => bad).filter((bad) => bad.length > 100), foreignRoot.keyPem];
  for (const secret of secrets) assert.ok(!logged.includes(secret.slice(-60)), "a token or a key is in the log");
  assert.doesNotMatch(logged, /PRIVATE KEY/);
});

function payloadOf(token: string): JWTPayload {
  return JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString());
}

function encoded(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

/** What a verifier takes for signed that lets the token choose how its key is used. */
function hs256(claims: JWTPayload, key: string): string {
  const signed = `${encoded({ alg: "HS256", typ: "JWT" })}.${encoded(claims)}`;
  return `${signed}.${createHmac("sha256", key).update(signed).digest("base64url")}`;
}
