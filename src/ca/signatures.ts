import { type KeyObject, sign, verify } from "node:crypto";
import { promisify } from "node:util";

/** Null where the algorithm hashes by itself, as Ed25519 does. */
export type Hash = "sha256" | "sha384" | "sha512" | null;

/** What is expensive about a certificate: four fifths of its processor time are three operations on elliptic curves. */
export interface Signatures {
  sign(hash: Hash, bytes: Uint8Array, key: KeyObject): Promise<Uint8Array>;
  /** `key` may be a SubjectPublicKeyInfo in PEM; rejects where it is none that OpenSSL reads. */
  verify(hash: Hash, bytes: Uint8Array, key: KeyObject | string, signature: Uint8Array): Promise<boolean>;
}

const verifyOnPool = promisify(verify);

/** Signs in this thread, and verifies on the pool that Node has: for certificates that are made one by one. */
export const localSignatures: Signatures = {
  sign: async (hash, bytes, key) => sign(hash, bytes, key),
  verify: (hash, bytes, key, signature) => verifyOnPool(hash, bytes, key, signature),
};

/** Does both in this thread: for one that has nothing else to do. */
export const blockingSignatures: Signatures = {
  sign: async (hash, bytes, key) => sign(hash, bytes, key),
  verify: async (hash, bytes, key, signature) => verify(hash, bytes, key, signature),
};
