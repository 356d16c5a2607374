import assert from "node:assert/strict";
import { createPrivateKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { bitString, objectIdentifier, octetString, sequence, TRUE } from "../platform/der.ts";
import { systemRandom as random } from "../platform/random.ts";
import { createSelfSignedRoot } from "./authority/self-signed-root.ts";
import type { WorkloadIdentity } from "./identity.ts";
import { verifyIssued } from "./verify-issued.ts";
import { type CertificateContent, certificatePem, nameOf, signCertificate, subjectNameOf } from "./x509/certificate.ts";
import {
  basicConstraints,
  certificateAndCrlSigning,
  digitalSignatureOnly,
  EXTENSION_TYPE,
  hostName,
  serverAndClientAuthentication,
  subjectAlternativeNames,
  uriName,
} from "./x509/extensions.ts";

const NOW = Date.parse("2026-08-01T00:00:00Z");
const HOUR_MS = 3_600_000;
const identity: WorkloadIdentity = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" };
const CART = uriName("spiffe://cluster.local/ns/shop/sa/cart");

const root = createSelfSignedRoot({ clock: { now: () => NOW }, random, trustDomain: "cluster.local" });
const authority = new X509Certificate(root.certificatePem);
const key = createPrivateKey(Buffer.from(root.keyPem.reveal()));
const publicKey = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ type: "spki", format: "der" });

/** The parts of the certificate that is asked for, each of which a case may do otherwise. */
const parts = {
  constraints: [basicConstraints(false)],
  usage: [digitalSignatureOnly()],
  purposes: [serverAndClientAuthentication()],
  names: [subjectAlternativeNames([CART], { critical: true })],
  more: [] as readonly Buffer[],
};

function leaf(changes: Partial<typeof parts> = {}, content: Partial<CertificateContent> = {}): Buffer {
  const all = { ...parts, ...changes };
  const own = {
    serialNumber: random.bytes(16),
    issuer: subjectNameOf(authority),
    subject: nameOf({}),
    notBefore: NOW - 60_000,
    notAfter: NOW + HOUR_MS,
    publicKey,
    extensions: [...all.constraints, ...all.usage, ...all.purposes, ...all.names, ...all.more],
  };
  return signCertificate({ ...own, ...content }, key);
}

function verify(certificate: Buffer): Promise<unknown> {
  const issued = { chainPem: certificatePem(certificate), serialNumber: "1", notAfter: NOW + HOUR_MS };
  return verifyIssued(issued, { identity, publicKey, notAfter: NOW + HOUR_MS }, { authority, now: NOW });
}

const usage = (bits: number) => sequence(EXTENSION_TYPE.keyUsage, TRUE, octetString(bitString(Buffer.from([bits]), 1)));
const purposes = (...oids: string[]) =>
  sequence(EXTENSION_TYPE.extendedKeyUsage, octetString(sequence(...oids.map(objectIdentifier))));
const unknown = (...critical: Buffer[]) => sequence(objectIdentifier("1.2.3.4"), ...critical, octetString(sequence()));
const [SERVER, CLIENT] = ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"];

test("what was asked for passes, and may hold more that nobody has to understand", async () => {
  await verify(leaf());
  await verify(leaf({ constraints: [] }));
  await verify(leaf({ more: [unknown()] }));
});

const otherwise: { title: string; certificate: Buffer; cause: RegExp }[] = [
  { title: "an authority's powers", certificate: leaf({ constraints: [basicConstraints(true)] }), cause: /authority/ },
  {
    title: "a key that may sign certificates",
    certificate: leaf({ usage: [certificateAndCrlSigning()] }),
    cause: /other uses/,
  },
  {
    title: "a key that may sign certificates besides handshakes",
    certificate: leaf({ usage: [usage(0b1000_0100)] }),
    cause: /other uses/,
  },
  { title: "no word on what its key may do", certificate: leaf({ usage: [] }), cause: /other uses/ },
  {
    title: "TLS servers alone for its purpose",
    certificate: leaf({ purposes: [purposes(SERVER)] }),
    cause: /purposes/,
  },
  {
    title: "a purpose more",
    certificate: leaf({ purposes: [purposes(SERVER, CLIENT, "1.3.6.1.5.5.7.3.3")] }),
    cause: /purposes/,
  },
  { title: "any purpose", certificate: leaf({ purposes: [] }), cause: /purposes/ },
  { title: "no name", certificate: leaf({ names: [] }), cause: /its names/ },
  {
    title: "a name besides",
    certificate: leaf({ names: [subjectAlternativeNames([CART, hostName("shop.example")], { critical: true })] }),
    cause: /its names/,
  },
  {
    title: "a host's name of the same text",
    certificate: leaf({
      names: [subjectAlternativeNames([hostName("spiffe://cluster.local/ns/shop/sa/cart")], { critical: true })],
    }),
    cause: /its names/,
  },
  {
    title: "names that may be overlooked",
    certificate: leaf({ names: [subjectAlternativeNames([CART], { critical: false })] }),
    cause: /not critical/,
  },
  { title: "its names twice", certificate: leaf({ more: parts.names }), cause: /twice/ },
  {
    title: "something critical that nobody asked for",
    certificate: leaf({ more: [unknown(TRUE)] }),
    cause: /critical/,
  },
  { title: "a subject", certificate: leaf({}, { subject: nameOf({ commonName: "cart" }) }), cause: /subject/ },
  { title: "a beginning to come", certificate: leaf({}, { notBefore: NOW + 1000 }), cause: /not valid now/ },
  {
    title: "an end in 2051",
    certificate: leaf({}, { notAfter: Date.parse("2051-01-01") }),
    cause: /longer than asked/,
  },
];
for (const { title, certificate, cause } of otherwise) {
  test(`a certificate with ${title} does not leave, though its authority signed it`, async () => {
    await assert.rejects(verify(certificate), (error: Error) => {
      assert.equal(error.message, "no certificate could be issued");
      assert.match(String(error.cause), cause);
      return true;
    });
  });
}

test("a certificate with any octet changed does not leave", async () => {
  const whole = leaf();
  await fc.assert(
    fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
      const changed = Buffer.from(whole);
      changed[at] = (changed[at] ?? 0) ^ change;
      await assert.rejects(verify(changed), { code: "internal" });
    }),
    { numRuns: 300 },
  );
});
