import { type DerElement, readOne, TAG, timeOf, VERSION_3 } from "../../platform/der.ts";
import { type SignatureAlgorithm, signatureAlgorithm } from "./signature-algorithm.ts";

/** What an X.509 v3 certificate says (RFC 5280, 4.1). Nothing of it is verified. Times are milliseconds since the epoch. */
export interface ParsedCertificate {
  /** A Name. */
  readonly issuer: DerElement;
  readonly notBefore: number;
  readonly notAfter: number;
  /** A Name. */
  readonly subject: DerElement;
  /** A SubjectPublicKeyInfo. */
  readonly publicKey: DerElement;
  readonly extensions: readonly ParsedExtension[];
  /** What the signature is over. */
  readonly signed: Buffer;
  readonly algorithm: SignatureAlgorithm;
  readonly signature: Buffer;
}

export interface ParsedExtension {
  /** An OBJECT IDENTIFIER. */
  readonly type: DerElement;
  readonly isCritical: boolean;
  /** An OCTET STRING. */
  readonly value: DerElement;
}

const TRUE = Buffer.from([0x01, 0x01, 0xff]);
const EXTENSIONS = 0xa3;

/** Reads a certificate from its DER; throws a RangeError where it is none, or one of another form than authorities write. */
export function parseCertificate(der: Buffer): ParsedCertificate {
  const [toBeSigned, outerAlgorithm, signatureBits, ...more] = readOne(der, TAG.sequence);
  if (toBeSigned?.tag !== TAG.sequence || signatureBits?.tag !== TAG.bitString || more.length > 0) {
    throw new RangeError("not a certificate");
  }
  const [version, serial, algorithm, issuer, validity, subject, publicKey, extensions, ...others] =
    toBeSigned.elements();
  if (!version?.is(VERSION_3) || serial?.tag !== TAG.integer || others.length > 0) {
    throw new RangeError("not a certificate of version 3");
  }
  if (algorithm === undefined || !outerAlgorithm?.is(algorithm.raw)) {
    throw new RangeError("a certificate that names two signature algorithms");
  }
  const known = signatureAlgorithm(algorithm);
  if (known === undefined) throw new RangeError("a certificate with an unknown signature algorithm");
  if (signatureBits.firstOctet !== 0) throw new RangeError("not a signature");
  const [notBefore, notAfter] = timesOf(validity);
  return {
    issuer: sequenceOf(issuer),
    notBefore,
    notAfter,
    subject: sequenceOf(subject),
    publicKey: sequenceOf(publicKey),
    extensions: extensionsOf(extensions),
    signed: toBeSigned.raw,
    algorithm: known,
    signature: signatureBits.content.subarray(1),
  };
}

function sequenceOf(element: DerElement | undefined): DerElement {
  if (element?.tag !== TAG.sequence) throw new RangeError("a certificate without a name or a key");
  return element;
}

function timesOf(validity: DerElement | undefined): [number, number] {
  const [notBefore, notAfter, ...more] = validity?.tag === TAG.sequence ? validity.elements() : [];
  if (notBefore === undefined || notAfter === undefined || more.length > 0) throw new RangeError("not a Validity");
  return [timeOf(notBefore), timeOf(notAfter)];
}

function extensionsOf(tagged: DerElement | undefined): ParsedExtension[] {
  if (tagged === undefined) return [];
  if (tagged.tag !== EXTENSIONS) throw new RangeError("not the extensions of a certificate");
  const [list, ...more] = tagged.elements();
  if (list?.tag !== TAG.sequence || more.length > 0) throw new RangeError("not a list of extensions");
  const types = new Set<string>();
  return list.elements().map((extension) => {
    const [type, second, third, ...others] = extension.tag === TAG.sequence ? extension.elements() : [];
    const value = third ?? second;
    const isCritical = third !== undefined;
    if (type?.tag !== TAG.objectIdentifier || value?.tag !== TAG.octetString || others.length > 0) {
      throw new RangeError("not an extension");
    }
    // DER leaves out what is FALSE by default.
    if (isCritical && !second?.is(TRUE)) throw new RangeError("not an extension");
    const name = type.raw.toString("latin1");
    if (types.has(name)) throw new RangeError("an extension that stands there twice");
    types.add(name);
    return { type, isCritical, value };
  });
}
