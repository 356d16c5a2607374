/**
 * DER (ITU-T X.690), as much of it as X.509 certificates and requests need. The writer cannot write what it should
 * not; the reader takes bytes from anyone.
 */
export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  objectIdentifier: 0x06,
  utf8String: 0x0c,
  printableString: 0x13,
  sequence: 0x30,
  set: 0x31,
  utcTime: 0x17,
  generalizedTime: 0x18,
} as const;

/** One element with the given tag around `contents`. */
export function der(tag: number, ...contents: Uint8Array[]): Buffer {
  let length = 0;
  for (const content of contents) length += content.length;
  const octets = lengthOctets(length);
  const element = Buffer.allocUnsafe(1 + octets.length + length);
  element[0] = tag;
  element.set(octets, 1);
  let at = 1 + octets.length;
  for (const content of contents) {
    element.set(content, at);
    at += content.length;
  }
  return element;
}

export function sequence(...contents: Uint8Array[]): Buffer {
  return der(TAG.sequence, ...contents);
}

/** `[number] EXPLICIT`. */
export function explicit(number: number, ...contents: Uint8Array[]): Buffer {
  return der(0xa0 | number, ...contents);
}

/** `[number] IMPLICIT` of a primitive type. */
export function implicit(number: number, content: Uint8Array): Buffer {
  return der(0x80 | number, content);
}

/** A positive INTEGER from big-endian bytes. */
export function integer(magnitude: Uint8Array): Buffer {
  const first = magnitude.findIndex((byte) => byte !== 0);
  const digits = first === -1 ? Buffer.from([0]) : magnitude.subarray(first);
  const sign = (digits[0] ?? 0) >= 0x80 ? Buffer.from([0]) : Buffer.alloc(0);
  return der(TAG.integer, sign, digits);
}

export function bitString(content: Uint8Array, unusedBits = 0): Buffer {
  return der(TAG.bitString, Buffer.from([unusedBits]), content);
}

export function octetString(content: Uint8Array): Buffer {
  return der(TAG.octetString, content);
}

export function utf8String(text: string): Buffer {
  return der(TAG.utf8String, Buffer.from(text, "utf8"));
}

export const TRUE = der(TAG.boolean, Buffer.from([0xff]));

/** An OBJECT IDENTIFIER from its dotted form. */
export function objectIdentifier(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  return der(TAG.objectIdentifier, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]));
}

/** A time to the second, in the form RFC 5280 (4.1.2.5) asks for: UTCTime through 2049, GeneralizedTime after it. */
export function time(epochMs: number): Buffer {
  const iso = new Date(epochMs).toISOString();
  const century = iso.slice(0, 2);
  const rest = `${iso.slice(2, 4)}${iso.slice(5, 7)}${iso.slice(8, 10)}${iso.slice(11, 13)}${iso.slice(14, 16)}${iso.slice(17, 19)}Z`;
  return iso < "2050"
    ? der(TAG.utcTime, Buffer.from(rest, "latin1"))
    : der(TAG.generalizedTime, Buffer.from(century + rest, "latin1"));
}

export interface DerElement {
  readonly tag: number;
  readonly content: Buffer;
  /** Tag, length and content. */
  readonly raw: Buffer;
}

/** Its parts are cut out when they are asked for: a Buffer costs more than all else of reading, and most are never used. */
class ReadElement implements DerElement {
  readonly tag: number;
  readonly #bytes: Buffer;
  readonly #start: number;
  readonly #contentStart: number;
  readonly #end: number;

  constructor(tag: number, bytes: Buffer, start: number, contentStart: number, end: number) {
    this.tag = tag;
    this.#bytes = bytes;
    this.#start = start;
    this.#contentStart = contentStart;
    this.#end = end;
  }

  get content(): Buffer {
    return this.#bytes.subarray(this.#contentStart, this.#end);
  }

  get raw(): Buffer {
    return this.#bytes.subarray(this.#start, this.#end);
  }
}

/**
 * The elements that stand one after the other in `bytes`, which is one level: their contents are not looked into, so
 * depth costs nothing. Throws a RangeError for what is not DER: a length that is indefinite or longer than need be
 * (X.690, 10.1), a tag of several octets, an element that ends behind `bytes`.
 */
export function readDer(bytes: Uint8Array): DerElement[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const elements: DerElement[] = [];
  for (let start = 0; start < buffer.length; ) {
    const tag = buffer.readUInt8(start);
    if ((tag & 0x1f) === 0x1f) throw new RangeError("DER tag of several octets");
    let length = buffer.readUInt8(start + 1);
    let contentStart = start + 2;
    if (length >= 0x80) {
      const octets = length & 0x7f;
      if (octets < 1 || octets > 4) throw new RangeError(`DER length of ${octets} octets`);
      length = buffer.readUIntBE(contentStart, octets);
      if (length < (octets === 1 ? 0x80 : 2 ** (8 * (octets - 1)))) throw new RangeError("DER length not minimal");
      contentStart += octets;
    }
    const end = contentStart + length;
    if (end > buffer.length) throw new RangeError("DER element ends behind its container");
    elements.push(new ReadElement(tag, buffer, start, contentStart, end));
    start = end;
  }
  return elements;
}

/** The elements inside the one element of `bytes` that has this tag. Throws a RangeError where it is not so. */
export function readOne(bytes: Uint8Array, tag: number): DerElement[] {
  const [element, ...more] = readDer(bytes);
  if (element?.tag !== tag || more.length > 0) throw new RangeError(`not one DER element of tag ${tag}`);
  return readDer(element.content);
}

function lengthOctets(length: number): number[] {
  if (length < 0x80) return [length];
  const octets: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256);
  return [0x80 | octets.length, ...octets];
}

function base128(value: number): number[] {
  const digits = [value % 128];
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) digits.unshift(0x80 | (rest % 128));
  return digits;
}
