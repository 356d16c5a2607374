import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  sign,
  verify,
} from "node:crypto";
import { join } from "node:path";
import { messageOf, TrysailError } from "../../platform/errors.ts";
import type { StateDir } from "../../platform/state-dir.ts";

/** A P-256 key that signs tokens (ES256). */
export interface SigningKey {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** `kid`: follows from the key alone. */
  readonly keyId: string;
  /** Whether this load made the key; false where it was there already. */
  readonly isNew: boolean;
}

export interface SigningKeyFile {
  readonly state: StateDir;
  /** In the state folder; the key is its file `key.jwk`. */
  readonly folder: string;
  /** For errors, such as `the token issuer's key`. */
  readonly what: string;
  /** For errors: what a new key does. */
  readonly consequence: string;
}

const KEY = "key.jwk";

/**
 * Reads a key from the state folder, and makes it on the first start; several processes may do so at once and end with
 * the same key. A damaged key is never replaced: `failed-precondition` names the file.
 */
export async function loadSigningKey(file: SigningKeyFile): Promise<SigningKey> {
  const { state, folder } = file;
  const found = await state.readState(`${folder}/${KEY}`);
  const isNew =
    found === undefined &&
    (await state.createStateFolder(folder, [{ name: KEY, bytes: createKeyFile(), mode: 0o600 }]));
  const bytes = found ?? (await state.readState(`${folder}/${KEY}`));
  if (bytes === undefined) throw broken(file, "is missing from a folder with other files");
  const privateKey = parseKeyFile(file, bytes);
  const publicKey = createPublicKey(privateKey);
  const keyId = createHash("sha256")
    .update(publicKey.export({ type: "spki", format: "der" }))
    .digest("base64url");
  return { privateKey, publicKey, keyId, isNew };
}

function createKeyFile(): string {
  const jwk = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" });
  return `${JSON.stringify({ ...jwk, alg: "ES256", use: "sig" })}\n`;
}

function parseKeyFile(file: SigningKeyFile, bytes: Buffer): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey({ format: "jwk", key: jwkOf(bytes) });
  } catch (error) {
    // Messages of a JSON parser quote its input, and this input is a private key.
    throw broken(file, error instanceof SyntaxError ? "is not JSON" : `cannot be read (${messageOf(error)})`);
  }
  if (key.asymmetricKeyDetails?.namedCurve !== "prime256v1") throw broken(file, "is not a P-256 key");
  // OpenSSL takes x, y and d as they come, even where they are of different keys.
  const probe = Buffer.from(KEY);
  if (!verify("sha256", probe, createPublicKey(key), sign("sha256", probe, key))) {
    throw broken(file, "holds halves of different keys");
  }
  return key;
}

function jwkOf(bytes: Buffer): JsonWebKey {
  const value: unknown = JSON.parse(bytes.toString("utf8"));
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new TypeError("not a JSON object");
  return Object.fromEntries(Object.entries(value));
}

function broken({ state, folder, what, consequence }: SigningKeyFile, problem: string): TrysailError {
  const path = join(state.path, folder);
  return new TrysailError(
    "failed-precondition",
    `${what} ${join(path, KEY)} ${problem}. Restore ${path} from a backup, or move it away to start with a new key that ${consequence}`,
  );
}
