import { createHash, type KeyObject, sign, type X509Certificate } from "node:crypto";
import {
  bitString,
  der,
  explicit,
  integer,
  objectIdentifier,
  readDer,
  sequence,
  TAG,
  time,
  utf8String,
} from "./der.ts";

/** Everything in a certificate but its signature. Times are milliseconds since the epoch, written to the second. */
export interface CertificateContent {
  readonly serialNumber: Uint8Array;
  /** DER of the issuer's Name. */
  readonly issuer: Uint8Array;
  /** DER of the subject's Name. */
  readonly subject: Uint8Array;
  readonly notBefore: number;
  readonly notAfter: number;
  /** DER of the SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array;
  /** DER of each extension. */
  readonly extensions: readonly Uint8Array[];
}

const VERSION_3 = explicit(0, integer(Buffer.from([2])));
const ECDSA_WITH_SHA256 = sequence(objectIdentifier("1.2.840.10045.4.3.2"));

/** The DER of an X.509 v3 certificate (RFC 5280, 4.1), signed with a P-256 key. */
export function signCertificate(content: CertificateContent, key: KeyObject): Buffer {
  const toBeSigned = sequence(
    VERSION_3,
    integer(content.serialNumber),
    ECDSA_WITH_SHA256,
    content.issuer,
    sequence(time(content.notBefore), time(content.notAfter)),
    content.subject,
    content.publicKey,
    explicit(3, sequence(...content.extensions)),
  );
  const signature = sign("sha256", toBeSigned, { key, dsaEncoding: "der" });
  return sequence(toBeSigned, ECDSA_WITH_SHA256, bitString(signature));
}

/** PEM with lines of 64 characters and a final newline (RFC 7468). */
export function certificatePem(certificate: Uint8Array): string {
  const lines =
    Buffer.from(certificate)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}

/** DER of a Name: an organization and a common name, or nothing at all. */
export function nameOf(parts: { organization?: string; commonName?: string }): Buffer {
  const attribute = (type: string, value: string | undefined): Buffer[] =>
    value === undefined ? [] : [der(TAG.set, sequence(objectIdentifier(type), utf8String(value)))];
  return sequence(...attribute("2.5.4.10", parts.organization), ...attribute("2.5.4.3", parts.commonName));
}

/** DER of the subject of a certificate, byte for byte: what its issued certificates must name as their issuer. */
export function subjectNameOf(certificate: X509Certificate): Buffer {
  const [whole] = readDer(certificate.raw);
  const [toBeSigned] = readDer(whole?.content ?? Buffer.alloc(0));
  // [version], serialNumber, signature, issuer, validity, subject, …; the version is there in every v3 certificate.
  const subject = readDer(toBeSigned?.content ?? Buffer.alloc(0))[5];
  if (subject?.tag !== TAG.sequence) throw new RangeError("not an X.509 v3 certificate");
  return subject.raw;
}

/** SHA-1 over the key's bits, as RFC 5280 (4.2.1.2) has it: a name for the key, not a protection of it. */
export function keyIdentifier(publicKey: Uint8Array): Buffer {
  const [info] = readDer(publicKey);
  const [, bits] = readDer(info?.content ?? Buffer.alloc(0));
  if (bits?.tag !== TAG.bitString) throw new RangeError("not a SubjectPublicKeyInfo");
  return createHash("sha1").update(bits.content.subarray(1)).digest();
}
