import assert from "node:assert/strict";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { test } from "node:test";
import { temporaryAuthority } from "../../test/support/authority.ts";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { openssl, opensslText } from "../../test/support/openssl.ts";
import { temporaryPath } from "../../test/support/state.ts";
import type { WorkloadIdentity } from "./identity.ts";
import { expiry, issue } from "./issue.ts";
import { createSigner, type Signer, type WorkloadLeaf } from "./signer.ts";

const START = Date.parse("2026-08-01T00:00:00Z");
const HOUR_MS = 60 * 60 * 1000;
const DAY_MS = 24 * HOUR_MS;
const cart: WorkloadIdentity = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" };

function newPublicKey(): Buffer {
  return generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ type: "spki", format: "der" });
}

test("openssl verifies the chain and prints an X.509-SVID", async (t) => {
  const clock = createManualClock(START);
  const { signer, rootCertificatePem } = await temporaryAuthority(t, clock);
  const issued = await issue(
    { signer, clock, maxTtlMs: DAY_MS },
    { identity: cart, publicKey: newPublicKey(), ttlMs: HOUR_MS },
  );

  const [root, leaf] = [await temporaryPath(t, "root.pem"), await temporaryPath(t, "leaf.pem")];
  await writeFile(root, rootCertificatePem);
  await writeFile(leaf, issued.chainPem);
  const at = String(START / 1000);
  for (const purpose of ["sslserver", "sslclient"]) {
    const verified = await openssl("verify", "-x509_strict", "-attime", at, "-purpose", purpose, "-CAfile", root, leaf);
    assert.equal(verified.trim(), `${leaf}: OK`);
  }

  const text = await opensslText(leaf);
  const extension = (heading: string): string | undefined => text[text.indexOf(heading) + 1];
  assert.ok(text.includes("Subject:"), "the subject is empty");
  assert.equal(extension("X509v3 Subject Alternative Name: critical"), "URI:spiffe://cluster.local/ns/shop/sa/cart");
  assert.equal(extension("X509v3 Basic Constraints: critical"), "CA:FALSE");
  assert.equal(extension("X509v3 Key Usage: critical"), "Digital Signature");
  assert.equal(extension("X509v3 Extended Key Usage:"), "TLS Web Server Authentication, TLS Web Client Authentication");
  assert.match(extension("X509v3 Subject Key Identifier:") ?? "", /^([0-9A-F]{2}:){19}[0-9A-F]{2}$/);
  const rootText = await opensslText(root);
  assert.equal(
    extension("X509v3 Authority Key Identifier:"),
    rootText[rootText.indexOf("X509v3 Subject Key Identifier:") + 1],
  );
  assert.ok(text.includes("Not Before: Jul 31 23:59:00 2026 GMT"), "a minute early, for clocks that run behind");
  assert.ok(text.includes("Not After : Aug  1 01:00:00 2026 GMT"));
});

test("openssl refuses the chain under another root, and once it ended", async (t) => {
  const clock = createManualClock(START);
  const [ours, other] = [await temporaryAuthority(t, clock), await temporaryAuthority(t, clock)];
  const issued = await issue(
    { signer: ours.signer, clock, maxTtlMs: DAY_MS },
    { identity: cart, publicKey: newPublicKey(), ttlMs: HOUR_MS },
  );
  const [root, otherRoot, leaf] = [
    await temporaryPath(t, "root.pem"),
    await temporaryPath(t, "other.pem"),
    await temporaryPath(t, "leaf.pem"),
  ];
  await writeFile(root, ours.rootCertificatePem);
  await writeFile(otherRoot, other.rootCertificatePem);
  await writeFile(leaf, issued.chainPem);
  await assert.rejects(
    openssl("verify", "-attime", String(START / 1000), "-CAfile", otherRoot, leaf),
    /unable to get local issuer/,
  );
  const late = String((START + 2 * HOUR_MS) / 1000);
  await assert.rejects(openssl("verify", "-attime", late, "-CAfile", root, leaf), /certificate has expired/);
});

test("every certificate has a serial number of its own", async (t) => {
  const clock = createManualClock(START);
  const { signer } = await temporaryAuthority(t, clock);
  const request = { identity: cart, publicKey: newPublicKey(), ttlMs: HOUR_MS };
  const serials = new Set<string>();
  for (let index = 0; index < 50; index++) {
    serials.add((await issue({ signer, clock, maxTtlMs: DAY_MS }, request)).serialNumber);
  }
  assert.equal(serials.size, 50);
});

for (const octet of [0x00, 0x0f, 0x7f, 0x80, 0xff]) {
  test(`its serial number is told as the certificate has it, also where chance says ${octet} all the time`, async (t) => {
    const clock = createManualClock(START);
    const { material } = (await temporaryAuthority(t, clock)).signer;
    const signer = createSigner({
      ...material,
      clock,
      random: { bytes: (count) => new Uint8Array(count).fill(octet) },
    });
    const request = { identity: cart, publicKey: newPublicKey(), ttlMs: HOUR_MS };
    const { chainPem, serialNumber } = await issue({ signer, clock, maxTtlMs: DAY_MS }, request);
    assert.equal(new X509Certificate(chainPem).serialNumber.toLowerCase(), serialNumber);
    assert.equal(serialNumber.length, 32);
  });
}

const lifetimes = [
  { title: "a short life is given as asked", ttlMs: HOUR_MS, lives: HOUR_MS },
  { title: "a long life is cut to the mesh's longest", ttlMs: 400 * DAY_MS, lives: DAY_MS },
  { title: "an endless one too", ttlMs: Number.POSITIVE_INFINITY, lives: DAY_MS },
  { title: "no life outlasts the authority", ttlMs: DAY_MS, authorityLives: 2 * HOUR_MS, lives: 2 * HOUR_MS },
];
for (const { title, ttlMs, lives, authorityLives = 3650 * DAY_MS } of lifetimes) {
  test(title, () => {
    assert.equal(expiry(START, ttlMs, DAY_MS, START + authorityLives) - START, lives);
  });
}

for (const ttlMs of [0, -1, 999, Number.NaN, Number.NEGATIVE_INFINITY]) {
  test(`a life of ${ttlMs} ms is refused`, () => {
    assert.throws(() => expiry(START, ttlMs, DAY_MS, START + DAY_MS), { code: "invalid-argument" });
  });
}

test("an authority that ended issues nothing, and says since when", async (t) => {
  const clock = createManualClock(START);
  const { signer } = await temporaryAuthority(t, clock);
  clock.advance(3660 * DAY_MS);
  await assert.rejects(
    issue({ signer, clock, maxTtlMs: DAY_MS }, { identity: cart, publicKey: newPublicKey(), ttlMs: HOUR_MS }),
    { reason: "signer-unavailable", message: "the certificate authority expired at 2036-08-01T00:00:00.000Z" },
  );
});

const thief: WorkloadIdentity = { ...cart, serviceAccount: "thief" };
const lies: {
  title: string;
  cause: RegExp;
  sign: (honest: Signer, other: Signer, asked: WorkloadLeaf) => ReturnType<Signer["sign"]>;
}[] = [
  {
    title: "another identity",
    cause: /its names/,
    sign: (honest, _, asked) => honest.sign({ ...asked, identity: thief }),
  },
  {
    title: "another key",
    cause: /another key/,
    sign: (honest, _, asked) => honest.sign({ ...asked, publicKey: newPublicKey() }),
  },
  {
    title: "a longer life",
    cause: /longer than asked/,
    sign: (honest, _, asked) => honest.sign({ ...asked, notAfter: asked.notAfter + 1000 }),
  },
  {
    title: "an ended life",
    cause: /not valid now/,
    sign: (honest, _, asked) => honest.sign({ ...asked, notAfter: START }),
  },
  { title: "another authority", cause: /does not name its authority/, sign: (_, other, asked) => other.sign(asked) },
  {
    title: "host names",
    cause: /its names/,
    sign: (honest, _, asked) => honest.signServing({ ...asked, hosts: ["localhost"] }),
  },
  {
    title: "an authority's powers",
    cause: /is not what was asked for/,
    sign: async (honest, _, asked) => ({
      chainPem: honest.certificate.toString(),
      serialNumber: "1",
      notAfter: asked.notAfter,
    }),
  },
  {
    title: "a broken signature",
    cause: /signature does not verify/,
    sign: async (honest, _, asked) => {
      const issued = await honest.sign(asked);
      const raw = new X509Certificate(issued.chainPem).raw;
      raw[raw.length - 1] = (raw[raw.length - 1] ?? 0) ^ 1;
      return {
        ...issued,
        chainPem: `-----BEGIN CERTIFICATE-----\n${raw.toString("base64")}\n-----END CERTIFICATE-----\n`,
      };
    },
  },
  {
    title: "no certificate at all",
    cause: /is not what was asked for/,
    sign: async (_h, _o, asked) => ({ chainPem: "", serialNumber: "1", notAfter: asked.notAfter }),
  },
];
for (const { title, cause, sign } of lies) {
  test(`a signer that gives ${title} is caught before the certificate leaves`, async (t) => {
    const clock = createManualClock(START);
    const [honest, other] = [(await temporaryAuthority(t, clock)).signer, (await temporaryAuthority(t, clock)).signer];
    const signer: Signer = { ...honest, sign: (asked) => sign(honest, other, asked) };
    await assert.rejects(
      issue({ signer, clock, maxTtlMs: DAY_MS }, { identity: cart, publicKey: newPublicKey(), ttlMs: HOUR_MS }),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, "internal");
        assert.equal(error.message, "no certificate could be issued");
        assert.match(String(error.cause), cause);
        return true;
      },
    );
  });
}
