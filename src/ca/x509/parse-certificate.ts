import { type DerElement, readDer, readOne, TAG } from "./der.ts";
import { type SignatureAlgorithm, signatureAlgorithm } from "./signature-algorithm.ts";

/** What an X.509 v3 certificate says (RFC 5280, 4.1). Nothing of it is verified. Times are milliseconds since the epoch. */
export interface ParsedCertificate {
  /** DER of the issuer's Name. */
  readonly issuer: Buffer;
  readonly notBefore: number;
  readonly notAfter: number;
  /** DER of the subject's Name. */
  readonly subject: Buffer;
  /** DER of the SubjectPublicKeyInfo. */
  readonly publicKey: Buffer;
  readonly extensions: readonly ParsedExtension[];
  /** What the signature is over. */
  readonly signed: Buffer;
  readonly algorithm: SignatureAlgorithm;
  readonly signature: Buffer;
}

export interface ParsedExtension {
  /** DER of the OBJECT IDENTIFIER. */
  readonly type: Buffer;
  readonly isCritical: boolean;
  /** The DER inside the OCTET STRING. */
  readonly value: Buffer;
}

const VERSION_3 = Buffer.from([0xa0, 0x03, 0x02, 0x01, 0x02]);
const TRUE = Buffer.from([0x01, 0x01, 0xff]);
const EXTENSIONS = 0xa3;

/** Reads a certificate from its DER; throws a RangeError where it is none, or one of another form than authorities write. */
export function parseCertificate(der: Buffer): ParsedCertificate {
  const [toBeSigned, outerAlgorithm, signatureBits, ...more] = readOne(der, TAG.sequence);
  if (toBeSigned?.tag !== TAG.sequence || signatureBits?.tag !== TAG.bitString || more.length > 0) {
    throw new RangeError("not a certificate");
  }
  const [version, serial, algorithm, issuer, validity, subject, publicKey, extensions, ...others] = readDer(
    toBeSigned.content,
  );
  if (!version?.raw.equals(VERSION_3) || serial?.tag !== TAG.integer || others.length > 0) {
    throw new RangeError("not a certificate of version 3");
  }
  if (algorithm === undefined || !outerAlgorithm?.raw.equals(algorithm.raw)) {
    throw new RangeError("a certificate that names two signature algorithms");
  }
  const known = signatureAlgorithm(algorithm.raw);
  if (known === undefined) throw new RangeError("a certificate with an unknown signature algorithm");
  if (signatureBits.content[0] !== 0) throw new RangeError("not a signature");
  const [notBefore, notAfter] = timesOf(validity);
  return {
    issuer: nameOf(issuer),
    notBefore,
    notAfter,
    subject: nameOf(subject),
    publicKey: nameOf(publicKey),
    extensions: extensionsOf(extensions),
    signed: toBeSigned.raw,
    algorithm: known,
    signature: signatureBits.content.subarray(1),
  };
}

function nameOf(element: DerElement | undefined): Buffer {
  if (element?.tag !== TAG.sequence) throw new RangeError("a certificate without a name or a key");
  return element.raw;
}

function timesOf(validity: DerElement | undefined): [number, number] {
  const [notBefore, notAfter, ...more] = validity?.tag === TAG.sequence ? readDer(validity.content) : [];
  if (notBefore === undefined || notAfter === undefined || more.length > 0) throw new RangeError("not a Validity");
  return [timeOf(notBefore), timeOf(notAfter)];
}

const DIGITS = /^[0-9]+Z$/;

/** As `time` writes it: to the second, in UTC. Throws a RangeError for any other. */
export function timeOf({ tag, content }: DerElement): number {
  const text = content.toString("latin1");
  const isUtc = tag === TAG.utcTime && text.length === 13;
  if (!isUtc && !(tag === TAG.generalizedTime && text.length === 15)) {
    throw new RangeError("not a time in UTC, to the second");
  }
  const full = isUtc ? (text < "50" ? "20" : "19") + text : text;
  const part = (start: number, end: number) => Number(full.slice(start, end));
  const [year, month, day, hour] = [part(0, 4), part(4, 6) - 1, part(6, 8), part(8, 10)];
  const [minute, second] = [part(10, 12), part(12, 14)];
  const time = Date.UTC(year, month, day, hour, minute, second);
  const date = new Date(time);
  // Else the 31st of June is taken for the 1st of July, 24:00 for midnight, and the year 50 for 1950.
  const isDay = date.getUTCFullYear() === year && date.getUTCMonth() === month && date.getUTCDate() === day;
  if (!DIGITS.test(text) || !isDay || date.getUTCHours() !== hour || minute > 59 || second > 59)
    throw new RangeError("not a time that there is");
  return time;
}

function extensionsOf(tagged: DerElement | undefined): ParsedExtension[] {
  if (tagged === undefined) return [];
  if (tagged.tag !== EXTENSIONS) throw new RangeError("not the extensions of a certificate");
  return parseExtensions(tagged.content);
}

/** Reads the DER of a list of extensions (RFC 5280, 4.1), each of a type of its own; throws a RangeError for anything else. */
export function parseExtensions(der: Buffer): ParsedExtension[] {
  const types = new Set<string>();
  return readOne(der, TAG.sequence).map(({ tag, content }) => {
    const [type, second, third, ...more] = tag === TAG.sequence ? readDer(content) : [];
    const value = third ?? second;
    const isCritical = third !== undefined;
    if (type?.tag !== TAG.objectIdentifier || value?.tag !== TAG.octetString || more.length > 0) {
      throw new RangeError("not an extension");
    }
    // DER leaves out what is FALSE by default.
    if (isCritical && !second?.raw.equals(TRUE)) throw new RangeError("not an extension");
    const name = type.raw.toString("latin1");
    if (types.has(name)) throw new RangeError("an extension that stands there twice");
    types.add(name);
    return { type: type.raw, isCritical, value: value.content };
  });
}
