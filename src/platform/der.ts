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
  const element = Buffer.allocUnsafe(1 + octets + length);
  element[0] = tag;
  if (octets === 1) element[1] = length;
  else {
    element[1] = 0x80 | (octets - 1);
    element.writeUIntBE(length, 2, octets - 1);
  }
  let at = 1 + octets;
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

/** What a certificate says of itself where it has extensions (RFC 5280, 4.1.2.1). */
export const VERSION_3 = explicit(0, integer(Buffer.from([2])));

export const TRUE = der(TAG.boolean, Buffer.from([0xff]));

/** An OBJECT IDENTIFIER from its dotted form. */
export function objectIdentifier(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  return der(TAG.objectIdentifier, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]));
}

/** A time to the second, in the form RFC 5280 (4.1.2.5) asks for: UTCTime through 2049, GeneralizedTime after it. */
export function time(epochMs: number): Buffer {
  const date = new Date(epochMs);
  const year = date.getUTCFullYear();
  if (!(year <= 9999)) throw new RangeError("not a time that a certificate can hold");
  const rest = [
    date.getUTCMonth() + 1,
    date.getUTCDate(),
    date.getUTCHours(),
    date.getUTCMinutes(),
    date.getUTCSeconds(),
  ];
  const years = year < 2050 ? [year % 100] : [Math.floor(year / 100), year % 100];
  const text = `${[...years, ...rest].map(twoDigits).join("")}Z`;
  return der(year < 2050 ? TAG.utcTime : TAG.generalizedTime, Buffer.from(text, "latin1"));
}

/** One element of what was read, inside the bytes that it was read from: to cut out a Buffer costs more than all else of reading. */
export class DerElement {
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

  /** Tag, length and content. */
  get raw(): Buffer {
    return this.#bytes.subarray(this.#start, this.#end);
  }

  /** The first octet of the content; undefined where there is none. */
  get firstOctet(): number | undefined {
    return this.#contentStart < this.#end ? this.#bytes[this.#contentStart] : undefined;
  }

  /** Whether it is `der`, tag and length included. */
  is(der: Uint8Array): boolean {
    const length = this.#end - this.#start;
    if (length !== der.length) return false;
    for (let at = 0; at < length; at++) if (this.#bytes[this.#start + at] !== der[at]) return false;
    return true;
  }

  /** What `readDer` reads from the content. */
  elements(): DerElement[] {
    return readElements(this.#bytes, this.#contentStart, this.#end);
  }
}

/**
 * The elements that stand one after the other in `bytes`, which is one level: their contents are not looked into, so
 * depth costs nothing. Throws a RangeError for what is not DER: a length that is indefinite or longer than need be
 * (X.690, 10.1), a tag of several octets, an element that ends behind `bytes`.
 */
export function readDer(bytes: Uint8Array): DerElement[] {
  return readElements(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0, bytes.length);
}

function readElements(bytes: Buffer, from: number, to: number): DerElement[] {
  const elements: DerElement[] = [];
  for (let start = from; start < to; ) {
    const tag = bytes[start] ?? 0;
    if ((tag & 0x1f) === 0x1f) throw new RangeError("DER tag of several octets");
    let length = bytes[start + 1] ?? 0;
    let contentStart = start + 2;
    if (length >= 0x80) {
      const octets = length & 0x7f;
      if (octets < 1 || octets > 4) throw new RangeError(`DER length of ${octets} octets`);
      length = bytes.readUIntBE(contentStart, octets);
      if (length < (octets === 1 ? 0x80 : 2 ** (8 * (octets - 1)))) throw new RangeError("DER length not minimal");
      contentStart += octets;
    }
    const end = contentStart + length;
    if (end > to) throw new RangeError("DER element ends behind its container");
    elements.push(new DerElement(tag, bytes, start, contentStart, end));
    start = end;
  }
  return elements;
}

/** The elements inside the one element of `bytes` that has this tag. Throws a RangeError where it is not so. */
export function readOne(bytes: Uint8Array, tag: number): DerElement[] {
  const [element, ...more] = readDer(bytes);
  if (element?.tag !== tag || more.length > 0) throw new RangeError(`not one DER element of tag ${tag}`);
  return element.elements();
}

const DIGITS = /^[0-9]+Z$/;

/** The time that `time` writes: to the second, in UTC. Throws a RangeError for any other. */
export function timeOf({ tag, content }: Pick<DerElement, "tag" | "content">): number {
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

/** How many octets the length itself takes: one, or as few as hold it behind one that counts them. */
function lengthOctets(length: number): number {
  if (length < 0x80) return 1;
  let octets = 2;
  for (let rest = length >>> 8; rest > 0; rest >>>= 8) octets++;
  return octets;
}

function base128(value: number): number[] {
  const digits = [value % 128];
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) digits.unshift(0x80 | (rest % 128));
  return digits;
}

function twoDigits(number: number): string {
  return number < 10 ? `0${number}` : String(number);
}
