import "reflect-metadata";
import assert from "node:assert/strict";
import { createPrivateKey, generateKeyPairSync, type KeyObject, sign, webcrypto } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { test } from "node:test";
import * as x509 from "@peculiar/x509";
import fc from "fast-check";
import { buildCsr, csrPem } from "../../../test/support/csr.ts";
import { openssl } from "../../../test/support/openssl.ts";
import { temporaryPath } from "../../../test/support/state.ts";
import { der, implicit, objectIdentifier, sequence, TAG } from "../../platform/der.ts";
import type { WorkloadIdentity } from "../identity.ts";
import { Refusal } from "../refusal.ts";
import { localSignatures } from "../signatures.ts";
import { assertNamesOnly, parseCsr, provePossession } from "./csr.ts";
import { hostName, subjectAlternativeNames, uriName } from "./extensions.ts";

const cart: WorkloadIdentity = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" };
const CART_ID = "spiffe://cluster.local/ns/shop/sa/cart";
const ec = (namedCurve: string) => generateKeyPairSync("ec", { namedCurve });
const rsa = (modulusLength: number, publicExponent = 65_537) =>
  generateKeyPairSync("rsa", { modulusLength, publicExponent });
const p256 = ec("P-256");

/** The whole way of a request behind authentication. */
async function judge(csr: string | Uint8Array, identity = cart): Promise<void> {
  const parsed = parseCsr(csr);
  await provePossession(parsed, localSignatures);
  assertNamesOnly(parsed, identity);
}

const refusedFor = (reason: string) => (error: unknown) => error instanceof Refusal && error.reason === reason;

const taken = [
  { title: "P-256", keys: p256 },
  { title: "P-384", keys: ec("P-384") },
  { title: "RSA 2048", keys: rsa(2048) },
  { title: "RSA 4096", keys: rsa(4096) },
  { title: "Ed25519", keys: generateKeyPairSync("ed25519") },
];
for (const { title, keys } of taken) {
  test(`a request with a key of kind ${title} is taken, in PEM and in DER`, async () => {
    const csr = buildCsr({ keys, names: [uriName(CART_ID)] });
    await judge(csr);
    await judge(csrPem(csr));
    await judge(csrPem(csr).replace("BEGIN C", "BEGIN NEW C").replace("END C", "END NEW C").replaceAll("\n", "\r\n"));
    const { publicKey, names } = parseCsr(csr);
    assert.deepEqual(publicKey.der, keys.publicKey.export({ type: "spki", format: "der" }));
    assert.deepEqual(names, [{ kind: "uri", value: CART_ID }]);
  });
}

test("a request that names nobody is taken, whether it has an empty list of attributes or none", async () => {
  await judge(buildCsr({ keys: p256 }));
  await judge(buildCsr({ keys: p256, attributes: [] }));
});

for (const { title, args } of [
  { title: "P-256", args: ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"] },
  { title: "RSA", args: ["-newkey", "rsa:2048"] },
  { title: "Ed25519", args: ["-newkey", "ed25519"] },
]) {
  test(`a request made by openssl with a key of kind ${title} is taken`, async (t) => {
    const key = await temporaryPath(t, "key.pem");
    const san = `subjectAltName=URI:${CART_ID}`;
    await judge(await openssl("req", "-new", "-nodes", ...args, "-keyout", key, "-subj", "/O=Shop", "-addext", san));
  });
}

const weak: { title: string; keys: { publicKey: KeyObject; privateKey: KeyObject }; reason: string }[] = [
  { title: "RSA 1024", keys: rsa(1024), reason: "csr-weak-key" },
  { title: "RSA 2047", keys: rsa(2047), reason: "csr-weak-key" },
  { title: "RSA with exponent 3", keys: rsa(2048, 3), reason: "csr-weak-key" },
  { title: "RSA 4104", keys: rsa(4104), reason: "csr-unsupported-key" },
  { title: "P-192", keys: ec("prime192v1"), reason: "csr-unsupported-key" },
  { title: "P-224", keys: ec("P-224"), reason: "csr-unsupported-key" },
  { title: "secp256k1", keys: ec("secp256k1"), reason: "csr-unsupported-key" },
  { title: "Ed448", keys: generateKeyPairSync("ed448"), reason: "csr-unsupported-key" },
  { title: "RSA-PSS", keys: generateKeyPairSync("rsa-pss", { modulusLength: 2048 }), reason: "csr-unsupported-key" },
];
for (const { title, keys, reason } of weak) {
  test(`a key of kind ${title} is refused: ${reason}`, () => {
    assert.throws(() => parseCsr(buildCsr({ keys })), refusedFor(reason));
  });
}

const other = { publicKey: p256.publicKey, privateKey: ec("P-256").privateKey };
const cartUri = uriName(CART_ID);
const hostile: { title: string; csr: string | Uint8Array; reason: string }[] = [
  { title: "nothing", csr: "", reason: "csr-malformed" },
  { title: "text that is not PEM", csr: "give me a certificate", reason: "csr-malformed" },
  {
    title: "a PEM block of another kind",
    csr: csrPem(buildCsr({ keys: p256 })).replaceAll("REQUEST", "REVOKED"),
    reason: "csr-malformed",
  },
  {
    title: "PEM that is not base64",
    csr: csrPem(buildCsr({ keys: p256 })).replace(/\nM/, "\n="),
    reason: "csr-malformed",
  },
  { title: "two PEM blocks", csr: csrPem(buildCsr({ keys: p256 })).repeat(2), reason: "csr-malformed" },
  {
    title: "DER with more behind it",
    csr: Buffer.concat([buildCsr({ keys: p256 }), Buffer.from([5, 0])]),
    reason: "csr-malformed",
  },
  {
    title: "a certificate instead",
    csr: sequence(sequence(), sequence(), der(TAG.bitString, Buffer.from([0]))),
    reason: "csr-malformed",
  },
  { title: "a megabyte", csr: "A".repeat(1 << 20), reason: "csr-too-large" },
  { title: "somebody else's signature", csr: buildCsr({ keys: other }), reason: "csr-bad-signature" },
  {
    title: "a signature over something else",
    csr: buildCsr({ keys: p256, signed: Buffer.from("else") }),
    reason: "csr-bad-signature",
  },
  { title: "SHA-1", csr: buildCsr({ keys: p256, hash: "sha1" }), reason: "csr-unsupported-key" },
  { title: "two URIs", csr: buildCsr({ keys: p256, names: [cartUri, cartUri] }), reason: "csr-other-names" },
  { title: "a DNS name", csr: buildCsr({ keys: p256, names: [hostName("cart.shop")] }), reason: "csr-other-names" },
  {
    title: "a DNS name beside its own",
    csr: buildCsr({ keys: p256, names: [cartUri, hostName("cart")] }),
    reason: "csr-other-names",
  },
  { title: "an IP address", csr: buildCsr({ keys: p256, names: [hostName("10.0.0.1")] }), reason: "csr-other-names" },
  {
    title: "an email address",
    csr: buildCsr({ keys: p256, names: [implicit(1, Buffer.from("a@b"))] }),
    reason: "csr-other-names",
  },
  {
    title: "a common name",
    csr: buildCsr({ keys: p256, commonName: "trysail.trysail-system.svc" }),
    reason: "csr-other-names",
  },
  {
    title: "thousands of names",
    csr: buildCsr({ keys: p256, names: Array(900).fill(hostName("a.example")) }),
    reason: "csr-other-names",
  },
  {
    title: "more names than fit",
    csr: buildCsr({ keys: p256, names: Array(9000).fill(hostName("a.example")) }),
    reason: "csr-too-large",
  },
];
for (const uri of [
  "spiffe://cluster.local/ns/bank/sa/cart",
  "spiffe://cluster.local/ns/shop/sa/admin",
  "spiffe://other.example/ns/shop/sa/cart",
  "spiffe://cluster.local/ns/shop/sa/cart/",
  "spiffe://cluster.local/ns/shop/sa/cart/../admin",
  "spiffe://cluster.local/ns/shop/sa/%63art",
  "spiffe://cluster.local/ns/shop/sa/%2e%2e/admin",
  "spiffe://cluster.local/ns//shop/sa/cart",
  "spiffe://cluster.local/ns/shop/sa/",
  "spiffe://CLUSTER.LOCAL/ns/shop/sa/cart",
  "SPIFFE://cluster.local/ns/shop/sa/cart",
  "spiffe://cluster.local:443/ns/shop/sa/cart",
  "spiffe://cluster.local/ns/shop/sa/cart#x",
  "https://cart.shop",
  "",
]) {
  const csr = buildCsr({ keys: p256, names: [uriName(uri)] });
  hostile.push({ title: `the URI "${uri}"`, csr, reason: "csr-other-names" });
}
const cyrillic = implicit(6, Buffer.from("spiffe://cluster.local/ns/shop/sa/с art", "utf8"));
hostile.push({
  title: "a URI with letters of another alphabet",
  csr: buildCsr({ keys: p256, names: [cyrillic] }),
  reason: "csr-other-names",
});
const withNul = implicit(6, Buffer.from(`${CART_ID}\0.evil`, "latin1"));
hostile.push({ title: "a URI with a NUL", csr: buildCsr({ keys: p256, names: [withNul] }), reason: "csr-other-names" });

for (const { title, csr, reason } of hostile) {
  test(`a request is refused for ${title}: ${reason}`, async () => {
    await assert.rejects(judge(csr), refusedFor(reason));
  });
}

test("a name that openssl reads from a request in Microsoft's older way is refused like any other", async (t) => {
  const csr = buildCsr({ keys: p256, attributes: [msExtensionRequest("spiffe://cluster.local/ns/shop/sa/bank")] });
  const file = await temporaryPath(t, "csr.pem");
  await writeFile(file, csrPem(csr));
  assert.match(await openssl("req", "-in", file, "-verify", "-noout", "-text"), /URI:.*\/sa\/bank\n/);
  await assert.rejects(judge(csr), refusedFor("csr-other-names"));
  await judge(buildCsr({ keys: p256, attributes: [msExtensionRequest(CART_ID)] }));
});

/** What openssl itself writes into a subject. */
const subjects: [subject: string, isTaken: boolean][] = [
  ["/C=CH/ST=Bern/L=Thun/O=Shop/OU=Cart", true],
  [`/O=Shop/CN=${CART_ID}`, true],
  ["/O=Shop/emailAddress=root@bank.example", false],
  ["/serialNumber=1", false],
  ["/UID=root", false],
  ["/DC=example/DC=bank", false],
  ["/O=Shop/GN=Root", false],
];
for (const [subject, isTaken] of subjects) {
  test(`a request with the subject ${subject} is ${isTaken ? "taken" : "refused"}`, async (t) => {
    const key = await temporaryPath(t, "key.pem");
    const escaped = subject.replace(CART_ID, CART_ID.replaceAll("/", "\\/"));
    const ecKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    const judged = judge(await openssl("req", "-new", "-nodes", ...ecKey, "-keyout", key, "-subj", escaped));
    await (isTaken ? judged : assert.rejects(judged, refusedFor("csr-other-names")));
  });
}

test("a request in PEM without its line ends is told how it lost them", () => {
  const oneLine = csrPem(buildCsr({ keys: p256 })).replaceAll("\n", "");
  assert.throws(() => parseCsr(oneLine), { reason: "csr-malformed", message: /lost its line ends .*--data-binary/ });
});

test("a request cut off anywhere, or with an octet more, is malformed", () => {
  const whole = buildCsr({ keys: p256, names: [cartUri] });
  for (let length = 0; length < whole.length; length++) {
    assert.throws(() => parseCsr(whole.subarray(0, length)), refusedFor("csr-malformed"), `${length} octets`);
  }
});

test("a request with one octet changed proves nothing, or is no request", async () => {
  const whole = buildCsr({ keys: p256, names: [cartUri] });
  await fc.assert(
    fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
      const changed = Buffer.from(whole);
      changed[at] = (changed[at] ?? 0) ^ flip;
      await assert.rejects(judge(changed), Refusal);
    }),
    { numRuns: 500 },
  );
});

test("whatever octets come, the answer is a refusal", async () => {
  const octets = fc.oneof(
    fc.uint8Array({ maxLength: 400 }),
    fc.uint8Array({ maxLength: 60 }).map((bytes) => sequence(bytes, bytes)),
  );
  await fc.assert(
    fc.asyncProperty(octets, async (bytes) => assert.rejects(judge(bytes), Refusal)),
    { numRuns: 1000 },
  );
  await fc.assert(
    fc.asyncProperty(fc.string({ maxLength: 300, unit: "binary" }), async (text) =>
      assert.rejects(judge(text), Refusal),
    ),
  );
});

/** Two readers that were written apart must not read a request in two ways. */
test("what is taken means the same to @peculiar/x509 and to openssl", async (t) => {
  x509.cryptoProvider.set(webcrypto);
  const files = await temporaryPath(t, "csr.pem");
  const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?$/);
  const request = fc.record({
    namespace: label,
    serviceAccount: label,
    organization: fc.option(label, { nil: undefined }),
    kind: fc.constantFrom("P-256", "P-384", "RSA 2048", "RSA 4096", "Ed25519"),
  });
  await fc.assert(
    fc.asyncProperty(request, async ({ kind, organization, ...names }) => {
      const identity = { trustDomain: "cluster.local", ...names };
      const uri = `spiffe://cluster.local/ns/${names.namespace}/sa/${names.serviceAccount}`;
      const csr = buildCsr({
        keys: taken.find(({ title }) => title === kind)?.keys ?? p256,
        names: [uriName(uri)],
        ...(organization === undefined ? {} : { organization }),
      });
      await judge(csr, identity);
      const theirs = new x509.Pkcs10CertificateRequest(csr);
      assert.equal(await theirs.verify(), true);
      assert.deepEqual(Buffer.from(theirs.publicKey.rawData), parseCsr(csr).publicKey.der);
      const san = theirs.extensions.find((one) => one instanceof x509.SubjectAlternativeNameExtension);
      assert.deepEqual(
        san?.names.items.map(({ type, value }) => [type, value]),
        [["url", uri]],
      );
      await writeFile(files, csrPem(csr));
      assert.match(await openssl("req", "-in", files, "-verify", "-noout", "-text"), new RegExp(`URI:${uri}\n`));
    }),
    { numRuns: 40 },
  );
});

for (const { title, keys } of taken) {
  test(`a request with changed octets and a key of kind ${title} is never taken where @peculiar/x509 refuses it`, async () => {
    x509.cryptoProvider.set(webcrypto);
    const whole = buildCsr({ keys, names: [cartUri] });
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.uint8Array({ minLength: 1, maxLength: 4 }), async (at, bytes) => {
        const changed = Buffer.concat([whole.subarray(0, at), bytes, whole.subarray(at + bytes.length)]);
        const [ours, theirs] = [await accepts(() => judge(changed)), await accepts(() => verifyByLibrary(changed))];
        assert.ok(!ours || theirs, `taken here, refused there: ${changed.toString("hex")}`);
      }),
      { numRuns: 200, interruptAfterTimeLimit: 10_000 },
    );
  });
}

test("a key that is not on its curve is refused", async () => {
  const csr = buildCsr({ keys: p256 });
  const point = p256.publicKey.export({ type: "spki", format: "der" }).subarray(-64);
  const at = csr.indexOf(point);
  const changed = Buffer.concat([csr.subarray(0, at), Buffer.alloc(64, 7), csr.subarray(at + 64)]);
  await assert.rejects(judge(changed), refusedFor("csr-malformed"));
});

test("a refusal's message holds no octets of the request", () => {
  const secret = createPrivateKey(p256.privateKey.export({ type: "pkcs8", format: "pem" }));
  const misplaced = secret.export({ type: "pkcs8", format: "pem" }).toString();
  assert.throws(
    () => parseCsr(misplaced),
    (error: unknown) =>
      error instanceof Refusal &&
      !JSON.stringify([error.message, String(error.cause)]).includes(misplaced.slice(40, 60)),
  );
  assert.ok(sign("sha256", Buffer.from("x"), secret).length > 0);
});

/** szOID_CERT_EXTENSIONS: what tools of Windows write in place of extensionRequest. */
function msExtensionRequest(uri: string): Buffer {
  const extensions = sequence(subjectAlternativeNames([uriName(uri)], { critical: false }));
  return sequence(objectIdentifier("1.3.6.1.4.1.311.2.1.14"), der(TAG.set, extensions));
}

async function accepts(check: () => Promise<unknown>): Promise<boolean> {
  try {
    await check();
    return true;
  } catch {
    return false;
  }
}

async function verifyByLibrary(bytes: Buffer): Promise<void> {
  assert.equal(await new x509.Pkcs10CertificateRequest(bytes).verify(), true);
}
