import type { Hash } from "../signatures.ts";
import { objectIdentifier, sequence } from "./der.ts";

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
const ALGORITHMS: ReadonlyMap<string, SignatureAlgorithm> = new Map(
  (
    [
      [plain("1.2.840.10045.4.3.2"), { keyType: "ec", hash: "sha256" }],
      [plain("1.2.840.10045.4.3.3"), { keyType: "ec", hash: "sha384" }],
      [plain("1.2.840.10045.4.3.4"), { keyType: "ec", hash: "sha512" }],
      [rsa("1.2.840.113549.1.1.11"), { keyType: "rsa", hash: "sha256" }],
      [rsa("1.2.840.113549.1.1.12"), { keyType: "rsa", hash: "sha384" }],
      [rsa("1.2.840.113549.1.1.13"), { keyType: "rsa", hash: "sha512" }],
      [plain("1.3.101.112"), { keyType: "ed25519", hash: null }],
    ] satisfies [Buffer, SignatureAlgorithm][]
  ).map(([identifier, algorithm]) => [identifier.toString("latin1"), algorithm]),
);

/** Undefined for any other: SHA-1 and MD5, PSS, DSA, and what nobody knows. */
export function signatureAlgorithm(identifier: Buffer): SignatureAlgorithm | undefined {
  return ALGORITHMS.get(identifier.toString("latin1"));
}
