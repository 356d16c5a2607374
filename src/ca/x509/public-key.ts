import { type DerElement, objectIdentifier, readOne, sequence, TAG } from "../../platform/der.ts";
import { pemText } from "../../platform/pem.ts";
import { Refusal } from "../refusal.ts";

/** A key that a leaf may hold: P-256, P-384, RSA of 2048 to 4096 bits, Ed25519. */
export interface LeafPublicKey {
  readonly keyType: "ec" | "rsa" | "ed25519";
  /** DER of the SubjectPublicKeyInfo, as it came. */
  readonly der: Buffer;
  /** The same in PEM. Whether it is a key, and not only of the form of one, shows at its first use. */
  readonly pem: string;
}

const NULL = Buffer.from([0x05, 0x00]);
const RSA = sequence(objectIdentifier("1.2.840.113549.1.1.1"), NULL);
const ED25519 = sequence(objectIdentifier("1.3.101.112"));
const EC = objectIdentifier("1.2.840.10045.2.1");
const CURVES = [
  { name: "P-256", identifier: sequence(EC, objectIdentifier("1.2.840.10045.3.1.7")), size: 32 },
  { name: "P-384", identifier: sequence(EC, objectIdentifier("1.3.132.0.34")), size: 48 },
] as const;
const UNCOMPRESSED = 0x04;

/** Reads a SubjectPublicKeyInfo (RFC 5280, 4.1.2.7); throws a Refusal that says which keys are taken. */
export function parsePublicKey(info: DerElement): LeafPublicKey {
  const [algorithm, bits, ...more] = info.tag === TAG.sequence ? info.elements() : [];
  if (algorithm?.tag !== TAG.sequence || bits?.tag !== TAG.bitString || bits.firstOctet !== 0 || more.length > 0) {
    throw new RangeError("not a SubjectPublicKeyInfo");
  }
  const der = info.raw;
  const key = bits.content.subarray(1);
  const curve = CURVES.find(({ identifier }) => algorithm.is(identifier));
  if (curve !== undefined) {
    assertPoint(curve, key);
    return { keyType: "ec", der, pem: pemOf(der) };
  }
  if (algorithm.is(RSA)) {
    assertRsa(key);
    return { keyType: "rsa", der, pem: pemOf(der) };
  }
  if (algorithm.is(ED25519) && key.length === 32) {
    return { keyType: "ed25519", der, pem: pemOf(der) };
  }
  throw new Refusal("csr-unsupported-key", "the key must be P-256, P-384, RSA (2048 to 4096 bits) or Ed25519");
}

function assertPoint({ name, size }: (typeof CURVES)[number], point: Buffer): void {
  if (point.length === 1 + 2 * size && point[0] === UNCOMPRESSED) return;
  throw new Refusal("csr-unsupported-key", `the ${name} key must be an uncompressed point`);
}

function assertRsa(key: Buffer): void {
  const [modulus, exponent, ...more] = readOne(key, TAG.sequence).map(positiveInteger);
  if (modulus === undefined || exponent === undefined || more.length > 0) throw new RangeError("not an RSA key");
  const bits = modulus.length * 8 - Math.clz32(modulus[0] ?? 0) + 24;
  if (bits < 2048) throw new Refusal("csr-weak-key", `an RSA key of ${bits} bits is too weak: 2048 to 4096 are taken`);
  if (bits > 4096) throw new Refusal("csr-unsupported-key", "an RSA key may have 4096 bits at most");
  // 65537 is what everyone uses; smaller ones have been broken in practice, and large ones make verifiers work.
  if (exponent.length > 4 || exponent.readUIntBE(0, exponent.length) < 65_537 || (exponent.at(-1) ?? 0) % 2 === 0) {
    throw new Refusal("csr-weak-key", "the RSA key's public exponent must be odd, 65537 or above, and of 32 bits");
  }
}

function positiveInteger({ tag, content }: { tag: number; content: Buffer }): Buffer {
  const [first, second] = content;
  const isMinimal = first !== 0 || (second ?? 0) >= 0x80;
  if (tag !== TAG.integer || first === undefined || first >= 0x80 || !isMinimal)
    throw new RangeError("not a positive INTEGER");
  return first === 0 ? content.subarray(1) : content;
}

/** OpenSSL reads it from PEM in a third of the time: Node finds out by exceptions whether an object holds a key already. */
function pemOf(der: Buffer): string {
  return pemText("PUBLIC KEY", der);
}
