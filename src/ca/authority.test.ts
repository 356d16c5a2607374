import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { readFile, rm, stat, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { promisify } from "node:util";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { openssl, opensslText } from "../../test/support/openssl.ts";
import { temporaryPath, temporaryState } from "../../test/support/state.ts";
import { createLog } from "../platform/log.ts";
import { openStateDir, type StateDir } from "../platform/state-dir.ts";
import { type Authority, loadAuthority } from "./authority.ts";

const START = Date.parse("2026-08-01T00:00:00Z");
const YEAR_MS = 365.25 * 24 * 60 * 60 * 1000;

function load(state: StateDir, overrides: { now?: number; trustDomain?: string } = {}): Promise<Authority> {
  return loadAuthority({
    state,
    clock: createManualClock(overrides.now ?? START),
    trustDomain: overrides.trustDomain ?? "cluster.local",
    log: createLog("silent"),
  });
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
  assert.equal(authority.trustBundlePem, authority.rootCertificatePem);
  assert.equal(await readFile(file, "utf8"), authority.rootCertificatePem);
  assert.equal((await stat(`${state.path}/ca/root-key.pem`)).mode & 0o777, 0o600);
});

test("a restart keeps the root", async (t) => {
  const state = await temporaryState(t);
  const first = await load(state);
  const second = await load(state, { now: START + YEAR_MS });
  assert.equal(second.rootCertificatePem, first.rootCertificatePem);
});

test("two meshes have different roots, serial numbers and names", async (t) => {
  const [one, other] = [await load(await temporaryState(t)), await load(await temporaryState(t))];
  assert.notEqual(one.signer.certificate.serialNumber, other.signer.certificate.serialNumber);
  assert.notEqual(one.signer.certificate.subject, other.signer.certificate.subject);
});

test("processes that start at once on one folder end with the same root", async (t) => {
  const path = await temporaryPath(t, "state");
  const program = `
    import { loadAuthority } from ${JSON.stringify(import.meta.resolve("./authority.ts"))};
    import { loadTokenIssuer } from ${JSON.stringify(import.meta.resolve("./token-issuer.ts"))};
    import { systemClock as clock } from ${JSON.stringify(import.meta.resolve("../platform/clock.ts"))};
    import { createLog } from ${JSON.stringify(import.meta.resolve("../platform/log.ts"))};
    import { openStateDir } from ${JSON.stringify(import.meta.resolve("../platform/state-dir.ts"))};
    const state = await openStateDir(${JSON.stringify(path)});
    const log = createLog("silent");
    const [authority, issuer] = await Promise.all([
      loadAuthority({ state, clock, trustDomain: "cluster.local", log }),
      loadTokenIssuer({ state, clock }),
    ]);
    console.log(JSON.stringify([authority.rootCertificatePem, issuer.publicKey.export({ format: "jwk" })]));`;
  const starts = Array.from({ length: 3 }, () =>
    promisify(execFile)(process.execPath, ["--input-type=module", "-e", program]),
  );
  const printed = (await Promise.all(starts)).map(({ stdout }) => stdout);
  assert.match(printed[0] ?? "", /BEGIN CERTIFICATE/);
  assert.equal(new Set(printed).size, 1);
});

for (const readsBefore of [1, 2]) {
  test(`a root that another process makes behind read ${readsBefore} of this one is used by both`, async (t) => {
    const state = await temporaryState(t);
    let other: Authority | undefined;
    let reads = 0;
    const overtaken: StateDir = {
      ...state,
      async readState(name) {
        const found = await state.readState(name);
        if (++reads === readsBefore) other = await load(state);
        return found;
      },
    };
    const ours = await load(overtaken);
    assert.equal(ours.rootCertificatePem, other?.rootCertificatePem);
  });
}

const otherKey = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "pkcs8", format: "pem" });
const otherCurve = generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey.export({
  type: "pkcs8",
  format: "pem",
});

const damages: { title: string; file: string; says: RegExp; damage: (file: string) => Promise<void> }[] = [
  {
    title: "an empty certificate",
    file: "root-cert.pem",
    says: /cannot be read/,
    damage: (file) => writeFile(file, ""),
  },
  { title: "an empty key", file: "root-key.pem", says: /cannot be read/, damage: (file) => writeFile(file, "") },
  {
    title: "half a certificate",
    file: "root-cert.pem",
    says: /cannot be read/,
    damage: async (file) => writeFile(file, (await readFile(file)).subarray(0, 300)),
  },
  {
    title: "a flipped bit in the signature",
    file: "root-cert.pem",
    says: /not signed by its own key|cannot be read/,
    damage: async (file) => {
      const pem = await readFile(file, "utf8");
      const body = Buffer.from(pem.replace(/-----[^-]+-----|\n/g, ""), "base64");
      body[body.length - 3] = (body[body.length - 3] ?? 0) ^ 1;
      await writeFile(file, `-----BEGIN CERTIFICATE-----\n${body.toString("base64")}\n-----END CERTIFICATE-----\n`);
    },
  },
  { title: "a missing certificate", file: "root-cert.pem", says: /is missing/, damage: (file) => rm(file) },
  { title: "a missing key", file: "root-key.pem", says: /is missing/, damage: (file) => rm(file) },
  {
    title: "another key",
    file: "root-key.pem",
    says: /is not the key of/,
    damage: (file) => writeFile(file, otherKey),
  },
  {
    title: "another curve",
    file: "root-key.pem",
    says: /not a P-256 key/,
    damage: (file) => writeFile(file, otherCurve),
  },
];
for (const { title, file, says, damage } of damages) {
  test(`${title} stops the start, names the file and the way out, and is left as it is`, async (t) => {
    const state = await temporaryState(t);
    await load(state);
    const path = `${state.path}/ca/${file}`;
    await damage(path);
    const before = await readFile(path).catch(() => undefined);
    await assert.rejects(load(state), (error: Error & { code?: string }) => {
      assert.equal(error.code, "failed-precondition");
      assert.ok(error.message.includes(path), error.message);
      assert.match(error.message, says);
      assert.match(error.message, /backup, or move it away/);
      return true;
    });
    assert.deepEqual(await readFile(path).catch(() => undefined), before);
  });
}

test("a leaf in the root's place is refused", async (t) => {
  const state = await temporaryState(t);
  const { signer } = await load(state);
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const leaf = await signer.sign({
    publicKey: publicKey.export({ type: "spki", format: "der" }),
    identity: { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" },
    notAfter: START + 60_000,
  });
  await writeFile(`${state.path}/ca/root-cert.pem`, leaf.chainPem);
  await writeFile(`${state.path}/ca/root-key.pem`, privateKey.export({ type: "pkcs8", format: "pem" }));
  await assert.rejects(load(state), /is not the certificate of an authority/);
});

test("a root of another trust domain, an ended one and one of the future stop the start", async (t) => {
  const state = await temporaryState(t);
  await load(state);
  await assert.rejects(load(state, { trustDomain: "other.org" }), /is for URI:spiffe:\/\/cluster\.local/);
  await assert.rejects(load(state, { now: START + 11 * YEAR_MS }), /expired at 2036-08-01T00:00:00\.000Z/);
  await assert.rejects(load(state, { now: START - YEAR_MS }), /is this machine's clock right/);
});

test("a folder with other files but no root is not taken for a first start", async (t) => {
  const path = await temporaryPath(t, "state");
  const state = await openStateDir(path);
  await state.writeStateAtomically("ca/notes.txt", "x", 0o600);
  await assert.rejects(load(state), /no root in it/);
});
