import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { before, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import fc from "fast-check";
import { buildCsr } from "../../../test/support/csr.ts";
import { createManualClock } from "../../../test/support/manual-clock.ts";
import { openssl } from "../../../test/support/openssl.ts";
import { temporaryPath, temporaryState } from "../../../test/support/state.ts";
import { TrysailError } from "../../platform/errors.ts";
import { createLog } from "../../platform/log.ts";
import { systemRandom } from "../../platform/random.ts";
import { createOwnIssuer } from "../issuer.ts";
import { createIssuingThreads } from "../threads/issuing-threads.ts";
import { certificatesOf, isSelfSigned } from "../x509/pem-certificates.ts";
import { loadAuthority } from "./authority.ts";
import { createFolderStore } from "./authority-folder-store.ts";
import { createAuthoritySource } from "./authority-source.ts";

/** What is plugged in, made by the recipes in certs/ and by openssl, read and signed with. */

const trustDomain = "cluster.local";
const DAY_MS = 86_400_000;
type Files = Readonly<Record<string, string | undefined>>;

function sourceOf(files: Files) {
  const readFile = async (name: string) => {
    const text = files[name];
    return text === undefined ? undefined : Buffer.from(text);
  };
  return createAuthoritySource({ name: "cacerts", trustDomain, readFile });
}

/** `make -C certs root intermediate`, and what it wrote. */
async function makeCerts(out: string, ...variables: string[]): Promise<Record<string, string>> {
  const folder = fileURLToPath(new URL("../../../certs", import.meta.url));
  await promisify(execFile)("make", ["-s", "-C", folder, "root", "intermediate", "verify", `OUT=${out}`, ...variables]);
  const names = ["ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"];
  const texts = await Promise.all(names.map((name) => readFile(join(out, "cluster-1", name), "utf8")));
  return Object.fromEntries(names.map((name, index) => [name, texts[index] ?? ""]));
}

/** Files as one folder of the tests has them; made once, since RSA keys take their time. */
const made: Record<"ec" | "rsa" | "other", Record<string, string>> = { ec: {}, rsa: {}, other: {} };
before(async (context) => {
  const t = context as TestContext;
  made.ec = await makeCerts(await temporaryPath(t, "ec"));
  made.rsa = await makeCerts(await temporaryPath(t, "rsa"), "KEY=rsa");
  made.other = await makeCerts(await temporaryPath(t, "other"), "ROOT_NAME=Other");
});

/** A leaf signed with what the source has, verified by openssl against the roots that came with it. */
async function signAndVerify(t: TestContext, files: Files): Promise<string> {
  const material = await sourceOf(files).read();
  assert.ok(material !== undefined);
  const now = Date.now();
  const clock = createManualClock(now);
  const store = createFolderStore({ state: await temporaryState(t), trustDomain });
  const authority = await loadAuthority({
    ...{ store, clock, random: systemRandom, trustDomain, log: createLog("silent") },
    first: async () => ({ origin: "plugged-in", material }),
  });
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const { chainPem } = await authority.signer().sign({
    publicKey: publicKey.export({ type: "spki", format: "der" }),
    identity: { trustDomain, namespace: "shop", serviceAccount: "cart" },
    notAfter: now + 3_600_000,
  });
  const path = await temporaryPath(t, "chain.pem");
  const roots = join(dirname(path), "roots.pem");
  await writeFile(path, chainPem);
  await writeFile(roots, authority.trustBundlePem());
  assert.match(await openssl("verify", "-x509_strict", "-CAfile", roots, "-untrusted", path, path), /: OK/);
  return chainPem;
}

/** A root signed by itself, which names no trust domain. */
async function opensslRoot(key: string, subject: string, out: string): Promise<void> {
  const usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"];
  await openssl("req", "-new", "-x509", "-key", key, "-days", "9", "-subj", subject, ...usage, "-out", out);
}

for (const kind of ["ec", "rsa"] as const) {
  test(`openssl verifies what an ${kind} intermediate of certs/ signs, and its chain has no root in it`, async (t) => {
    const chain = certificatesOf(await signAndVerify(t, made[kind]));
    assert.equal(chain.length, 2);
    assert.ok(!chain.some(isSelfSigned));
  });
}

test("no certificate outlives the root, although the intermediate does", async (t) => {
  const files = await makeCerts(await temporaryPath(t, "brief"), "ROOT_DAYS=2", "INTERMEDIATE_DAYS=700");
  const material = await sourceOf(files).read();
  assert.ok(material !== undefined);
  const clock = createManualClock(Date.now());
  const deps = { clock, random: systemRandom, trustDomain, log: createLog("silent") };
  const store = createFolderStore({ state: await temporaryState(t), trustDomain });
  const authority = await loadAuthority({ ...deps, store, first: async () => ({ origin: "plugged-in", material }) });
  const threads = createIssuingThreads({ maxThreads: 1, idleMs: 1000, clock });
  t.after(() => threads.stop());
  const issuer = createOwnIssuer({ authority, clock, maxTtlMs: 90 * DAY_MS, threads });
  const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const asked = { identity: { trustDomain, namespace: "shop", serviceAccount: "cart" }, ttlMs: 30 * DAY_MS };
  const publicKey = keys.publicKey.export({ type: "spki", format: "der" });
  const ends = new X509Certificate(files["root-cert.pem"] ?? "").validToDate.getTime();
  assert.equal((await issuer.issue({ ...asked, publicKey })).notAfter, ends);
  assert.equal((await issuer.answer({ ...asked, csr: buildCsr({ keys }) })).notAfter, ends);
  clock.set(ends);
  await assert.rejects(issuer.issue({ ...asked, publicKey }), { reason: "signer-unavailable" });
  await assert.rejects(issuer.answer({ ...asked, csr: buildCsr({ keys }) }), { reason: "signer-unavailable" });
});

test("a key of its own that is not P-256 signs with the hash that fits it", async (t) => {
  for (const [curve, signature] of [
    ["P-384", "ecdsa-with-SHA384"],
    ["P-521", "ecdsa-with-SHA512"],
  ] as const) {
    const key = await temporaryPath(t, "key.pem");
    const root = join(dirname(key), "root.pem");
    await openssl("genpkey", "-algorithm", "ec", "-pkeyopt", `ec_paramgen_curve:${curve}`, "-out", key);
    await opensslRoot(key, "/O=mesh", root);
    const files = { "ca-cert.pem": await readFile(root, "utf8"), "ca-key.pem": await readFile(key, "utf8") };
    const leaf = await temporaryPath(t, "leaf.pem");
    await writeFile(leaf, await signAndVerify(t, files));
    assert.match(
      await openssl("x509", "-in", leaf, "-noout", "-text"),
      new RegExp(`Signature Algorithm: ${signature}`),
    );
  }
});

test("Istio's own secret, two files signed by themselves, is read as it is", async (t) => {
  const key = await temporaryPath(t, "key.pem");
  const root = join(dirname(key), "root.pem");
  // As istiod makes it: RSA, an organization for a name, no trust domain.
  await openssl("genpkey", "-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048", "-out", key);
  await opensslRoot(key, "/O=cluster.local", root);
  const pkcs1 = await openssl("rsa", "-in", key, "-traditional");
  const chain = await signAndVerify(t, { "ca-cert.pem": await readFile(root, "utf8"), "ca-key.pem": pkcs1 });
  assert.equal(certificatesOf(chain).length, 1);
});

test("a root that istiod has renewed with its key takes the place of the one that it left beside it", async (t) => {
  const key = await temporaryPath(t, "key.pem");
  const [before, renewed] = [join(dirname(key), "before.pem"), join(dirname(key), "renewed.pem")];
  await openssl("genpkey", "-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048", "-out", key);
  for (const root of [before, renewed]) await opensslRoot(key, "/O=cluster.local", root);
  const [left, own] = [await readFile(before, "utf8"), await readFile(renewed, "utf8")];
  const foreign = made.other["root-cert.pem"] ?? "";
  const files = { "ca-cert.pem": own, "ca-key.pem": await readFile(key, "utf8"), "root-cert.pem": left + foreign };
  assert.equal((await sourceOf(files).read())?.rootsPem, own + foreign);
  await signAndVerify(t, files);
  // A root under which nothing is signed is a mistake as ever.
  await assert.rejects(sourceOf({ ...files, "root-cert.pem": foreign }).read(), /does not lead from/);
});

test("cert-manager's form is read, with the way up behind the first certificate", async (t) => {
  const { "ca-cert.pem": own = "", "ca-key.pem": key, "root-cert.pem": root = "" } = made.ec;
  await signAndVerify(t, { "tls.crt": own, "tls.key": key, "ca.crt": root });
  await signAndVerify(t, { "tls.crt": own + root, "tls.key": key, "ca.crt": root });
});

test("roots beside its own are published with it, and the chain may come in any order", async () => {
  const { "ca-cert.pem": own = "", "root-cert.pem": root = "" } = made.ec;
  const roots = root + (made.other["root-cert.pem"] ?? "");
  const chain = roots + own;
  const material = await sourceOf({ ...made.ec, "root-cert.pem": roots, "cert-chain.pem": chain }).read();
  assert.equal(certificatesOf(material?.rootsPem ?? "").length, 2);
  assert.equal(material?.intermediatesPem, "");
});

test("nothing at all is no mistake", async () => {
  assert.equal(await sourceOf({}).read(), undefined);
});

const ed25519 = generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }).toString();
const weakRsa = generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey.export({ type: "pkcs8", format: "pem" });
function ofVersion4(pem: string): string {
  const { raw } = new X509Certificate(pem);
  raw[raw.indexOf(Buffer.from([0xa0, 3, 2, 1, 2])) + 4] = 3;
  return new X509Certificate(raw).toString();
}
const mistakes: { title: string; files: () => Files; says: RegExp }[] = [
  {
    title: "no key",
    files: () => ({ ...made.ec, "ca-key.pem": undefined }),
    says: /^cacerts\/ca-key\.pem is missing$/,
  },
  { title: "no certificate", files: () => ({ ...made.ec, "ca-cert.pem": undefined }), says: /ca-cert\.pem is missing/ },
  { title: "another key", files: () => ({ ...made.ec, ...pick(made.other, "ca-key.pem") }), says: /is not the key of/ },
  { title: "an Ed25519 key", files: () => ({ ...made.ec, "ca-key.pem": ed25519 }), says: /ca-key\.pem is neither/ },
  { title: "RSA of 1024 bits", files: () => ({ ...made.ec, "ca-key.pem": String(weakRsa) }), says: /is neither/ },
  {
    title: "an intermediate without its root",
    files: () => pick(made.ec, "ca-cert.pem", "ca-key.pem"),
    says: /is not signed by its own key/,
  },
  {
    title: "the root of somebody else",
    files: () => ({ ...made.ec, ...pick(made.other, "root-cert.pem") }),
    says: /cert-chain\.pem does not lead from .*, CN=Intermediate cluster-1 to a root that comes with it/,
  },
  {
    title: "an intermediate as a root",
    files: () => ({ ...made.ec, "root-cert.pem": made.ec["ca-cert.pem"] }),
    says: /root-cert\.pem holds .*, which is not signed by its own key/s,
  },
  {
    title: "two certificates that sign",
    files: () => ({ ...made.ec, "ca-cert.pem": made.ec["cert-chain.pem"] }),
    says: /does not hold exactly one/,
  },
  { title: "no PEM", files: () => ({ ...made.ec, "cert-chain.pem": "hello" }), says: /cert-chain\.pem cannot be read/ },
  {
    title: "a second root that is only half written",
    files: () => ({
      ...made.ec,
      "root-cert.pem": made.ec["root-cert.pem"] + (made.other["root-cert.pem"] ?? "").slice(0, 300),
    }),
    says: /root-cert\.pem cannot be read \(a block of PEM \(CERTIFICATE\) is not whole\)/,
  },
  {
    title: "a root in a form that OpenSSL takes, and Envoy does not",
    files: () => ({
      ...made.ec,
      "root-cert.pem": made.ec["root-cert.pem"] + ofVersion4(made.other["root-cert.pem"] ?? ""),
    }),
    says: /root-cert\.pem cannot be read \(not a certificate of version 3\)/,
  },
  {
    title: "a file of a megabyte",
    files: () => ({ ...made.ec, "root-cert.pem": "x".repeat(1e6) }),
    says: /larger than/,
  },
];
for (const { title, files, says } of mistakes) {
  test(`${title} is refused by the name of its file, and no key is shown`, async () => {
    await assert.rejects(sourceOf(files()).read(), (error: unknown) => {
      assert.ok(error instanceof TrysailError);
      assert.equal(error.code, "failed-precondition");
      assert.match(error.message, says);
      assert.doesNotMatch(error.message, /PRIVATE/);
      return true;
    });
  });
}

/** An intermediate under a root of its own, with such extensions of each. */
async function chainWith(t: TestContext, rootConstraints: string, extensions: readonly string[]): Promise<Files> {
  const folder = await temporaryPath(t, "chain");
  const file = (name: string) => `${folder}-${name}`;
  const [root, rootKey, own, ownKey] = [file("root.pem"), file("root-key.pem"), file("own.pem"), file("own-key.pem")];
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9"];
  const usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"];
  const constraints = ["-addext", `basicConstraints=critical,${rootConstraints}`];
  const config = file("config");
  await writeFile(config, "[req]\ndistinguished_name = name\n[name]\n");
  const request = ["req", "-x509", "-config", config, ...key, ...usage];
  await openssl(...request, ...constraints, "-keyout", rootKey, "-out", root, "-subj", "/CN=root");
  const by = ["-CA", root, "-CAkey", rootKey, ...extensions.flatMap((extension) => ["-addext", extension])];
  await openssl(...request, ...by, "-keyout", ownKey, "-out", own, "-subj", "/CN=own");
  const names = { "ca-cert.pem": own, "ca-key.pem": ownKey, "cert-chain.pem": own, "root-cert.pem": root };
  const read = Object.entries(names).map(async ([name, path]) => [name, await readFile(path, "utf8")] as const);
  return Object.fromEntries(await Promise.all(read));
}

test("a chain that may be as long as it is, and for TLS, signs what openssl verifies", async (t) => {
  const both = "extendedKeyUsage=serverAuth,clientAuth";
  await signAndVerify(
    t,
    await chainWith(t, "CA:TRUE,pathlen:1", ["basicConstraints=critical,CA:TRUE,pathlen:0", both]),
  );
});

const refusedByPeers: [title: string, rootConstraints: string, extensions: readonly string[], says: RegExp][] = [
  ["is longer than its root allows", "CA:TRUE,pathlen:0", ["basicConstraints=critical,CA:TRUE"], /CN=root.*pathlen/],
  [
    "is for servers alone",
    "CA:TRUE",
    ["basicConstraints=critical,CA:TRUE", "extendedKeyUsage=serverAuth"],
    /CN=own.*extendedKeyUsage/,
  ],
];
for (const [title, rootConstraints, extensions, says] of refusedByPeers) {
  test(`a chain that ${title}, and so by every peer refused, is never used`, async (t) => {
    const files = await chainWith(t, rootConstraints, extensions);
    await assert.rejects(sourceOf(files).read(), { code: "failed-precondition", message: says });
  });
}

test("an authority of another trust domain is refused", async () => {
  const readFile = async (name: string) => Buffer.from(made.ec[name] ?? "");
  const source = createAuthoritySource({ name: "cacerts", trustDomain: "other.org", readFile });
  await assert.rejects(source.read(), /is for URI:spiffe:\/\/cluster\.local, and this mesh is spiffe:\/\/other\.org/);
});

test("files cut, repeated or changed anywhere are read or refused, and never anything else", async () => {
  const names = ["ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"] as const;
  const edit = fc.record({
    name: fc.constantFrom(...names),
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    text: fc.string({ maxLength: 20 }),
    cut: fc.nat(200),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 3 }), async (edits) => {
      const files = { ...made.ec };
      for (const { name, at, text, cut } of edits) {
        const whole = files[name] ?? "";
        const start = Math.floor(at * whole.length);
        files[name] = whole.slice(0, start) + text + whole.slice(start + cut);
      }
      await sourceOf(files)
        .read()
        .catch((error: unknown) => assert.ok(error instanceof TrysailError, String(error)));
    }),
    { numRuns: 300 },
  );
});

function pick(files: Record<string, string>, ...names: string[]): Files {
  return Object.fromEntries(names.map((name) => [name, files[name]]));
}
