import { hash, type KeyObject, sign, type X509Certificate } from "node:crypto";
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
  VERSION_3,
} from "../../platform/der.ts";
import { pemText } from "../../platform/pem.ts";

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

/** The DER of an X.509 v3 certificate (RFC 5280, 4.1), signed with an RSA key or one on a NIST curve. */
export function signCertificate(content: CertificateContent, key: KeyObject): Buffer {
  const algorithm = signingAlgorithmOf(key);
  const toBeSigned = buildToBeSigned(content, algorithm);
  return buildCertificate(toBeSigned, algorithm, sign(algorithm.hash, toBeSigned, key));
}

/** The DER of what a certificate's signature is over. */
export function buildToBeSigned(content: CertificateContent, algorithm: SigningAlgorithm): Buffer {
  return sequence(
    VERSION_3,
    integer(content.serialNumber),
    algorithm.identifier,
    content.issuer,
    sequence(time(content.notBefore), time(content.notAfter)),
    content.subject,
    content.publicKey,
    explicit(3, sequence(...content.extensions)),
  );
}

/** The DER of a certificate; `signature` as OpenSSL makes it. */
export function buildCertificate(toBeSigned: Buffer, algorithm: SigningAlgorithm, signature: Uint8Array): Buffer {
  return sequence(toBeSigned, algorithm.identifier, bitString(signature));
}

export interface SigningAlgorithm {
  readonly hash: "sha256" | "sha384" | "sha512";
  /** DER of the AlgorithmIdentifier: RFC 5758 (3.2) wants no parameters for ECDSA, RFC 4055 (5) NULL for RSA. */
  readonly identifier: Buffer;
}

const RSA_WITH_SHA256: SigningAlgorithm = {
  hash: "sha256",
  identifier: sequence(objectIdentifier("1.2.840.113549.1.1.11"), der(TAG.null)),
};
/** By curve, with the hash that is as strong. */
const ECDSA: Readonly<Record<string, SigningAlgorithm>> = {
  prime256v1: { hash: "sha256", identifier: sequence(objectIdentifier("1.2.840.10045.4.3.2")) },
  secp384r1: { hash: "sha384", identifier: sequence(objectIdentifier("1.2.840.10045.4.3.3")) },
  secp521r1: { hash: "sha512", identifier: sequence(objectIdentifier("1.2.840.10045.4.3.4")) },
};

/** Throws a RangeError for a key that signs no certificates. */
export function signingAlgorithmOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): SigningAlgorithm {
  const algorithm =
    asymmetricKeyType === "rsa" ? RSA_WITH_SHA256 : ECDSA[asymmetricKeyDetails?.namedCurve ?? asymmetricKeyType ?? ""];
  if (algorithm === undefined) throw new RangeError(`cannot sign certificates with a key of type ${asymmetricKeyType}`);
  return algorithm;
}

export function certificatePem(certificate: Uint8Array): string {
  return pemText("CERTIFICATE", certificate);
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
  const [toBeSigned] = whole?.elements() ?? [];
  // [version], serialNumber, signature, issuer, validity, subject, …; the version is there in every v3 certificate.
  const subject = toBeSigned?.elements()[5];
  if (subject?.tag !== TAG.sequence) throw new RangeError("not an X.509 v3 certificate");
  return subject.raw;
}

/**
 * How certificates issued with this one must name its key: by its own subject key identifier, where it has one, since
 * others derive theirs in other ways (RFC 5280, 4.2.1.1).
 */
export function keyIdentifierOf(certificate: X509Certificate): Buffer {
  const [identifier] = readDer(extensionValueOf(certificate, "2.5.29.14") ?? Buffer.alloc(0));
  if (identifier?.tag === TAG.octetString) return identifier.content;
  return keyIdentifier(certificate.publicKey.export({ type: "spki", format: "der" }));
}

/** The DER inside an extension's OCTET STRING; undefined where the certificate has no such extension. */
export function extensionValueOf(certificate: X509Certificate, type: string): Buffer | undefined {
  const wanted = objectIdentifier(type);
  const [whole] = readDer(certificate.raw);
  const [toBeSigned] = whole?.elements() ?? [];
  const tagged = toBeSigned?.elements().find(({ tag }) => tag === EXTENSIONS);
  const [extensions] = tagged?.elements() ?? [];
  for (const extension of extensions?.elements() ?? []) {
    const parts = extension.elements();
    if (parts[0]?.is(wanted)) return parts.at(-1)?.content;
  }
  return undefined;
}

/** `[3] EXPLICIT`, in which a certificate holds its extensions. */
const EXTENSIONS = 0xa3;

/** SHA-1 over the key's bits, as RFC 5280 (4.2.1.2) has it: a name for the key, not a protection of it. */
export function keyIdentifier(publicKey: Uint8Array): Buffer {
  const [info] = readDer(publicKey);
  const [, bits] = info?.elements() ?? [];
  if (bits?.tag !== TAG.bitString) throw new RangeError("not a SubjectPublicKeyInfo");
  return hash("sha1", bits.content.subarray(1), "buffer");
}
