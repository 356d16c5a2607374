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
