import { type KeyObject, verify, type X509Certificate } from "node:crypto";
import { type DerElement, objectIdentifier, readDer, readOne, TAG, timeOf } from "../../platform/der.ts";
import { pemBlocks, pemText } from "../../platform/pem.ts";
import { subjectNameOf } from "./certificate.ts";
import { CRL_SIGNING, keyUsageOf } from "./key-usage.ts";
import { type SignatureAlgorithm, signatureAlgorithm } from "./signature-algorithm.ts";

/** What an authority says of the certificates that it has taken back (RFC 5280, 5). Times are milliseconds since the epoch. */
export interface RevocationList {
  /** The list itself. */
  readonly pem: string;
  /** DER of the Name of the authority. */
  readonly issuer: Buffer;
  readonly thisUpdate: number;
  /** When it ends; null where it does not say. */
  readonly nextUpdate: number | null;
  /** How many certificates it takes back. */
  readonly revoked: number;
  readonly proof: {
    readonly algorithm: SignatureAlgorithm;
    readonly signed: Buffer;
    readonly signature: Buffer;
  };
}

const LABEL = "X509 CRL";
const FRAME = /-----[^-]+-----/g;
const VERSION_2 = Buffer.from([0x02, 0x01, 0x01]);
const EXTENSIONS = 0xa0;

/** The lists of a PEM text, in its order; what stands between them is skipped. Throws a RangeError where one cannot be read. */
export function parseRevocationLists(pem: string): RevocationList[] {
  return pemBlocks(LABEL, pem).map((block) => parseRevocationList(Buffer.from(block.replaceAll(FRAME, ""), "base64")));
}

/**
 * Reads a list from its DER. Throws a RangeError where it is none, or is one that says more than who is revoked, in a
 * way that must not be overlooked: a part of a list, or one for some certificates only.
 */
function parseRevocationList(der: Buffer): RevocationList {
  const [toBeSigned, outerAlgorithm, signatureBits, ...more] = readOne(der, TAG.sequence);
  if (toBeSigned?.tag !== TAG.sequence || signatureBits?.tag !== TAG.bitString || more.length > 0) {
    throw new RangeError("not a revocation list");
  }
  const fields = readDer(toBeSigned.content);
  if (fields[0]?.raw.equals(VERSION_2)) fields.shift();
  const [algorithm, issuer, thisUpdate, ...rest] = fields;
  if (algorithm === undefined || issuer?.tag !== TAG.sequence || thisUpdate === undefined) {
    throw new RangeError("not a revocation list");
  }
  const known = signatureAlgorithm(algorithm);
  if (known === undefined || !outerAlgorithm?.raw.equals(algorithm.raw) || signatureBits.content[0] !== 0) {
    throw new RangeError("a revocation list with an unknown signature algorithm");
  }
  const nextUpdate = isTime(rest[0]) ? timeOf(rest[0]) : null;
  if (nextUpdate !== null) rest.shift();
  const revoked = rest[0]?.tag === TAG.sequence ? readDer(rest[0].content) : [];
  if (rest[0]?.tag === TAG.sequence) rest.shift();
  for (const one of revoked) assertRevocation(one);
  const [extensions, ...others] = rest;
  if (others.length > 0 || (extensions !== undefined && extensions.tag !== EXTENSIONS)) {
    throw new RangeError("elements that do not belong into a revocation list");
  }
  if (extensions !== undefined) assertNothingCritical(extensions.content);
  return {
    pem: pemText(LABEL, der),
    issuer: issuer.raw,
    thisUpdate: timeOf(thisUpdate),
    nextUpdate,
    revoked: revoked.length,
    proof: { algorithm: known, signed: toBeSigned.raw, signature: signatureBits.content.subarray(1) },
  };
}

/** Whether the list is the authority's own: it has its name, and its key has signed it. */
export function isListOf({ issuer, proof }: RevocationList, authority: X509Certificate): boolean {
  return issuer.equals(subjectNameOf(authority)) && verifies(proof, authority.publicKey);
}

/** A certificate that limits the use of its key must allow this one. */
export function maySignLists(authority: X509Certificate): boolean {
  const bits = keyUsageOf(authority);
  return bits === undefined || (bits & CRL_SIGNING) !== 0;
}

function verifies({ algorithm, signed, signature }: RevocationList["proof"], key: KeyObject): boolean {
  return algorithm.keyType === key.asymmetricKeyType && verify(algorithm.hash, signed, key, signature);
}

function isTime(element: DerElement | undefined): element is DerElement {
  return element?.tag === TAG.utcTime || element?.tag === TAG.generalizedTime;
}

function assertRevocation({ tag, content }: DerElement): void {
  const [serialNumber, date, extensions, ...more] = tag === TAG.sequence ? readDer(content) : [];
  if (serialNumber?.tag !== TAG.integer || !isTime(date) || more.length > 0) throw new RangeError("not a revocation");
  if (extensions !== undefined) assertNothingCritical(extensions.raw);
}

/** deltaCRLIndicator and issuingDistributionPoint (RFC 5280, 5.2.4 and 5.2.5): always critical, or ought to be. */
const PARTIAL = [objectIdentifier("2.5.29.27"), objectIdentifier("2.5.29.28")];

/** `Extensions`: each is a type, whether it is critical (left out where it is not), and a value. */
function assertNothingCritical(extensions: Buffer): void {
  for (const { content } of readOne(extensions, TAG.sequence)) {
    const [type, second] = readDer(content);
    if (second?.tag === TAG.boolean || PARTIAL.some((partial) => type?.raw.equals(partial))) {
      throw new RangeError("a revocation list with a critical extension, such as a part of a list");
    }
  }
}
