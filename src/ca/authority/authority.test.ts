import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { promisify } from "node:util";
import { createManualClock } from "../../../test/support/manual-clock.ts";
import { openssl, opensslText } from "../../../test/support/openssl.ts";
import { temporaryPath, temporaryState } from "../../../test/support/state.ts";
import { createLog } from "../../platform/log.ts";
import { systemRandom } from "../../platform/random.ts";
import { openStateDir, type StateDir } from "../../platform/state-dir.ts";
import { type Authority, loadAuthority } from "./authority.ts";
import { createFolderStore } from "./authority-folder-store.ts";
import { slotOf, withPrepared } from "./authority-state.ts";
import { createSelfSignedRoot } from "./self-signed-root.ts";

const START = Date.parse("2026-08-01T00:00:00Z");
const YEAR_MS = 365.25 * 24 * 60 * 60 * 1000;

function load(
  state: StateDir,
  overrides: { now?: number; trustDomain?: string; keepsExpired?: boolean } = {},
): Promise<Authority> {
  const { trustDomain = "cluster.local", keepsExpired = false } = overrides;
  return loadAuthority({
    store: createFolderStore({ state, trustDomain }),
    clock: createManualClock(overrides.now ?? START),
    random: systemRandom,
    trustDomain,
    log: createLog("silent"),
    keepsExpired,
  });
}

/** What the first versions wrote: a certificate and its key in two files. */
async function writeFirstFormat(state: StateDir, overrides: { certificate?: string; key?: string } = {}) {
  const root = createSelfSignedRoot({
    clock: createManualClock(START),
    random: systemRandom,
    trustDomain: "cluster.local",
  });
  const files = [
    ["ca/root-cert.pem", overrides.certificate ?? root.certificatePem],
    ["ca/root-key.pem", overrides.key ?? Buffer.from(root.keyPem.reveal()).toString()],
  ] as const;
  for (const [name, text] of files) if (text !== "missing") await state.writeStateAtomically(name, text, 0o600);
  return root;
}

test("openssl reads the root: an authority for ten years that signs certificates and revocation lists", async (t) => {
  const state = await temporaryState(t);
  const authority = await load(state);
  const file = `${state.path}/ca/root-cert.pem`;
  const text = await opensslText(file);
  const at = (line: string): number => {
    const index = text.indexOf(line);
    assert.notEqual(index, -1, `${line} is not in\n${text.join("\n")}`);
    return index;
  };
  assert.equal(text[at("X509v3 Basic Constraints: critical") + 1], "CA:TRUE");
  assert.equal(text[at("X509v3 Key Usage: critical") + 1], "Certificate Sign, CRL Sign");
  assert.equal(text[at("X509v3 Subject Alternative Name:") + 1], "URI:spiffe://cluster.local");
  const subjectKey = text[at("X509v3 Subject Key Identifier:") + 1];
  assert.match(subjectKey ?? "", /^([0-9A-F]{2}:){19}[0-9A-F]{2}$/);
  assert.equal(text[at("X509v3 Authority Key Identifier:") + 1], subjectKey);
  at("Not Before: Jul 31 23:59:00 2026 GMT");
  at("Not After : Aug  1 00:00:00 2036 GMT");
  at("ASN1 OID: prime256v1");
  assert.ok(text.some((line) => /^Subject: CN=Trysail root [0-9a-f]{8},O=cluster\.local$/.test(line)));
  const verified = await openssl("verify", "-attime", String(START / 1000), "-x509_strict", "-CAfile", file, file);
  assert.match(verified, /: OK/);
  assert.equal(await readFile(file, "utf8"), authority.trustBundlePem());
  assert.deepEqual(await readdir(`${state.path}/ca`), ["authority-1.json", "root-cert.pem"]);
  assert.equal((await stat(`${state.path}/ca/authority-1.json`)).mode & 0o777, 0o600);
});

test("a restart keeps the root", async (t) => {
  const state = await temporaryState(t);
  const first = await load(state);
  const second = await load(state, { now: START + YEAR_MS });
  assert.equal(second.trustBundlePem(), first.trustBundlePem());
});

test("two meshes have different roots, serial numbers and names", async (t) => {
  const [one, other] = [await load(await temporaryState(t)), await load(await temporaryState(t))];
  assert.notEqual(one.signer().certificate.serialNumber, other.signer().certificate.serialNumber);
  assert.notEqual(one.signer().certificate.subject, other.signer().certificate.subject);
});

test("processes that start at once on one folder end with the same root", async (t) => {
  const path = await temporaryPath(t, "state");
  const program = `
    import { loadAuthority } from ${JSON.stringify(import.meta.resolve("./authority.ts"))};
    import { createFolderStore } from ${JSON.stringify(import.meta.resolve("./authority-folder-store.ts"))};
    import { systemRandom as random } from ${JSON.stringify(import.meta.resolve("../../platform/random.ts"))};
    import { loadTokenIssuer } from ${JSON.stringify(import.meta.resolve("../jwt/token-issuer.ts"))};
    import { systemClock as clock } from ${JSON.stringify(import.meta.resolve("../../platform/clock.ts"))};
    import { createLog } from ${JSON.stringify(import.meta.resolve("../../platform/log.ts"))};
    import { openStateDir } from ${JSON.stringify(import.meta.resolve("../../platform/state-dir.ts"))};
    const state = await openStateDir(${JSON.stringify(path)});
    const log = createLog("silent");
    const trustDomain = "cluster.local";
    const [authority, issuer] = await Promise.all([
      loadAuthority({ store: createFolderStore({ state, trustDomain }), clock, random, trustDomain, log }),
      loadTokenIssuer({ state, clock }),
    ]);
    console.log(JSON.stringify([authority.trustBundlePem(), issuer.publicKey.export({ format: "jwk" })]));`;
  const starts = Array.from({ length: 3 }, () =>
    promisify(execFile)(process.execPath, ["--input-type=module", "-e", program]),
  );
  const printed = (await Promise.all(starts)).map(({ stdout }) => stdout);
  assert.match(printed[0] ?? "", /BEGIN CERTIFICATE/);
  assert.equal(new Set(printed).size, 1);
});

test("a root that another process makes while this one makes its own is used by both", async (t) => {
  const state = await temporaryState(t);
  let other: Authority | undefined;
  const overtaken: StateDir = {
    ...state,
    async createStateFile(...file) {
      other ??= await load(state);
      return state.createStateFile(...file);
    },
  };
  const ours = await load(overtaken);
  assert.equal(ours.trustBundlePem(), other?.trustBundlePem());
  assert.equal(ours.signer().certificate.serialNumber, other?.signer().certificate.serialNumber);
});

test("a root of the first versions goes on, kept in the new form, and its key file is gone", async (t) => {
  const state = await temporaryState(t);
  const root = await writeFirstFormat(state);
  const authority = await load(state);
  assert.equal(authority.trustBundlePem(), root.certificatePem);
  assert.deepEqual(await readdir(`${state.path}/ca`), ["authority-1.json", "root-cert.pem"]);
  assert.equal((await load(state)).trustBundlePem(), root.certificatePem);
});

const otherKey = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "pkcs8", format: "pem" });
const otherCurve = generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey.export({
  type: "pkcs8",
  format: "pem",
});

const halfCertificate = createSelfSignedRoot({
  clock: createManualClock(START),
  random: systemRandom,
  trustDomain: "cluster.local",
}).certificatePem.slice(0, 300);

const damages: { title: string; files: { certificate?: string; key?: string }; says: RegExp }[] = [
  { title: "an empty certificate", files: { certificate: "" }, says: /root-cert\.pem cannot be read/ },
  { title: "an empty key", files: { key: "" }, says: /root-key\.pem cannot be read/ },
  { title: "half a certificate", files: { certificate: halfCertificate }, says: /root-cert\.pem cannot be read/ },
  { title: "a missing certificate", files: { certificate: "missing" }, says: /root-cert\.pem is missing/ },
  { title: "a missing key", files: { key: "missing" }, says: /root-key\.pem is missing/ },
  { title: "another key", files: { key: String(otherKey) }, says: /root-key\.pem is not the key of/ },
  { title: "another curve", files: { key: String(otherCurve) }, says: /root-key\.pem is not the key of/ },
];
for (const { title, files, says } of damages) {
  test(`${title} of the first form stops the start, names the file, and is left as it is`, async (t) => {
    const state = await temporaryState(t);
    await writeFirstFormat(state, files);
    const before = await state.readState("ca/root-key.pem");
    await assert.rejects(load(state), { code: "failed-precondition", message: says });
    assert.deepEqual(await state.readState("ca/root-key.pem"), before);
    assert.ok(!(await state.listState("ca")).includes("authority-1.json"));
  });
}

const documentDamages: { title: string; says: RegExp; damage: (text: string) => string }[] = [
  { title: "an empty state", says: /is not JSON/, damage: () => "" },
  { title: "half a state", says: /is not JSON/, damage: (text) => text.slice(0, text.length / 2) },
  {
    title: "a state of a later version",
    says: /version/,
    damage: (text) => text.replace('"version": 1', '"version": 2'),
  },
  {
    title: "a state without a certificate",
    says: /without a certificate/,
    damage: (text) => text.replaceAll("BEGIN CERTIFICATE", "BEGIN NOTHING"),
  },
  {
    title: "a state with another key",
    says: /has another key than its certificate/,
    damage: (text) => text.replace(/"keyPem": "[^"]*"/, `"keyPem": ${JSON.stringify(String(otherKey))}`),
  },
];
for (const { title, says, damage } of documentDamages) {
  test(`${title} stops the start, shows no key, and is left as it is`, async (t) => {
    const state = await temporaryState(t);
    await load(state);
    const file = `${state.path}/ca/authority-1.json`;
    const damaged = damage(await readFile(file, "utf8"));
    await writeFile(file, damaged);
    await assert.rejects(load(state), (error: Error & { code?: string }) => {
      assert.equal(error.code, "failed-precondition");
      assert.match(error.message, says);
      assert.ok(error.message.includes(`${state.path}/ca`), error.message);
      assert.doesNotMatch(error.message, /PRIVATE/);
      return true;
    });
    assert.equal(await readFile(file, "utf8"), damaged);
  });
}

test("a leaf in the root's place is refused", async (t) => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const leaf = await (await load(await temporaryState(t))).signer().sign({
    publicKey: publicKey.export({ type: "spki", format: "der" }),
    identity: { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" },
    notAfter: START + 60_000,
  });
  const state = await temporaryState(t);
  const key = String(privateKey.export({ type: "pkcs8", format: "pem" }));
  await writeFirstFormat(state, { certificate: leaf.chainPem, key });
  await assert.rejects(load(state), /is not the certificate of an authority/);
});

test("a root of another trust domain and one of the future stop the start", async (t) => {
  const state = await temporaryState(t);
  await load(state);
  await assert.rejects(load(state, { trustDomain: "other.org" }), /is for spiffe:\/\/cluster\.local/);
  await assert.rejects(load(state, { now: START - YEAR_MS }), /is this machine's clock right/);
});

test("a root that has ended is replaced at the start: nothing it signed can be valid", async (t) => {
  const state = await temporaryState(t);
  const ended = await load(state);
  const authority = await load(state, { now: START + 11 * YEAR_MS });
  assert.notEqual(authority.trustBundlePem(), ended.trustBundlePem());
  assert.equal(authority.state().old.length, 0);
  assert.equal((await load(state, { now: START + 12 * YEAR_MS })).trustBundlePem(), authority.trustBundlePem());
});

test("where a root ends whose successor is prepared, that signs: peers know it", async (t) => {
  const state = await temporaryState(t);
  const later = createSelfSignedRoot({
    clock: createManualClock(START + 5 * YEAR_MS),
    random: systemRandom,
    trustDomain: "cluster.local",
  });
  await (await load(state)).change((before) =>
    withPrepared(before, slotOf(later, { origin: "self-signed", preparedAt: START + 5 * YEAR_MS })),
  );
  const looked = await load(state, { now: START + 11 * YEAR_MS, keepsExpired: true });
  assert.notEqual(looked.state().active.certificatePem, later.certificatePem, "whoever only looks changes nothing");
  const authority = await load(state, { now: START + 11 * YEAR_MS });
  assert.equal(authority.state().active.certificatePem, later.certificatePem);
  assert.equal((await load(state, { now: START + 11 * YEAR_MS })).state().active.certificatePem, later.certificatePem);
});

test("a state that is taken away while it is in use is put back, once, with the same root", async (t) => {
  const state = await temporaryState(t);
  const [one, other] = [await load(state), await load(state)];
  await rm(`${state.path}/ca`, { recursive: true });
  assert.deepEqual(await one.refresh(), { restored: true });
  assert.deepEqual(await other.refresh(), { restored: false });
  assert.deepEqual(await readdir(`${state.path}/ca`), ["authority-1.json", "root-cert.pem"]);
  assert.equal((await load(state)).trustBundlePem(), one.trustBundlePem());
});

test("a folder with other files but no root is not taken for a first start", async (t) => {
  const path = await temporaryPath(t, "state");
  const state = await openStateDir(path);
  await state.writeStateAtomically("ca/notes.txt", "x", 0o600);
  await assert.rejects(load(state), /no authority in it/);
});
