const ALPHABET = Buffer.from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", "latin1");
const PADDING = 0x3d;
const NEW_LINE = 0x0a;
const LINE_LENGTH = 64;

/**
 * PEM (RFC 7468) of DER as bytes, made without a string on the way: strings cannot be wiped, and this is for private
 * keys.
 */
export function pemBytes(label: string, der: Uint8Array): Buffer {
  const [head, tail] = [Buffer.from(`-----BEGIN ${label}-----\n`), Buffer.from(`-----END ${label}-----\n`)];
  const digits = 4 * Math.ceil(der.length / 3);
  const pem = Buffer.alloc(head.length + digits + Math.ceil(digits / LINE_LENGTH) + tail.length);
  let at = head.copy(pem);
  for (let start = 0; start < der.length; start += 3) {
    if (start > 0 && (start / 3) % (LINE_LENGTH / 4) === 0) pem[at++] = NEW_LINE;
    const left = der.length - start;
    const bits = ((der[start] ?? 0) << 16) | ((der[start + 1] ?? 0) << 8) | (der[start + 2] ?? 0);
    pem[at++] = ALPHABET[bits >> 18] ?? 0;
    pem[at++] = ALPHABET[(bits >> 12) & 63] ?? 0;
    pem[at++] = left > 1 ? (ALPHABET[(bits >> 6) & 63] ?? 0) : PADDING;
    pem[at++] = left > 2 ? (ALPHABET[bits & 63] ?? 0) : PADDING;
  }
  if (der.length > 0) pem[at++] = NEW_LINE;
  tail.copy(pem, at);
  return pem;
}

/** The same as a text, for what is no secret: certificates and public keys. */
export function pemText(label: string, der: Uint8Array): string {
  const base64 = Buffer.from(der.buffer, der.byteOffset, der.byteLength).toString("base64");
  let pem = `-----BEGIN ${label}-----\n`;
  for (let start = 0; start < base64.length; start += LINE_LENGTH)
    pem += `${base64.slice(start, start + LINE_LENGTH)}\n`;
  return `${pem}-----END ${label}-----\n`;
}

/**
 * The blocks of a PEM text that have this label, in its order; what stands between them is skipped. Throws a RangeError
 * where one begins that is not whole: a file that is read while it is being written must not pass for a shorter one.
 */
export function pemBlocks(label: string, text: string): string[] {
  const begin = `-----BEGIN ${label}-----`;
  const blocks = text.match(new RegExp(`${begin}[A-Za-z0-9+/=\\s]*-----END ${label}-----`, "g")) ?? [];
  if (text.split(begin).length - 1 !== blocks.length) throw new RangeError(`a block of PEM (${label}) is not whole`);
  return [...blocks];
}
