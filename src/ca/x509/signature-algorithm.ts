import { type DerElement, objectIdentifier, sequence } from "../../platform/der.ts";
import type { Hash } from "../signatures.ts";

/** What signs and verifies under an AlgorithmIdentifier. */
export interface SignatureAlgorithm {
  /** Of the keys that make such signatures, as `KeyObject.asymmetricKeyType` has it. */
  readonly keyType: "ec" | "rsa" | "ed25519";
  readonly hash: Hash;
}

const NULL = Buffer.from([0x05, 0x00]);
const rsa = (oid: string) => sequence(objectIdentifier(oid), NULL);
const plain = (oid: string) => sequence(objectIdentifier(oid));

/** By the whole DER of the AlgorithmIdentifier, so that none with odd parameters passes (RFC 4055, 5758, 8410). */
const ALGORITHMS: readonly { readonly identifier: Buffer; readonly algorithm: SignatureAlgorithm }[] = [
  { identifier: plain("1.2.840.10045.4.3.2"), algorithm: { keyType: "ec", hash: "sha256" } },
  { identifier: plain("1.2.840.10045.4.3.3"), algorithm: { keyType: "ec", hash: "sha384" } },
  { identifier: plain("1.2.840.10045.4.3.4"), algorithm: { keyType: "ec", hash: "sha512" } },
  { identifier: rsa("1.2.840.113549.1.1.11"), algorithm: { keyType: "rsa", hash: "sha256" } },
  { identifier: rsa("1.2.840.113549.1.1.12"), algorithm: { keyType: "rsa", hash: "sha384" } },
  { identifier: rsa("1.2.840.113549.1.1.13"), algorithm: { keyType: "rsa", hash: "sha512" } },
  { identifier: plain("1.3.101.112"), algorithm: { keyType: "ed25519", hash: null } },
];

/** Undefined for any other: SHA-1 and MD5, PSS, DSA, and what nobody knows. */
export function signatureAlgorithm(identifier: DerElement): SignatureAlgorithm | undefined {
  return ALGORITHMS.find((known) => identifier.is(known.identifier))?.algorithm;
}
