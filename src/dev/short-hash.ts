import { createHash, randomInt } from "node:crypto";

/** Kubernetes' alphabet for generated names: no vowels, so no words. */
const ALPHABET = "bcdfghjklmnpqrstvwxz2456789";

/** A stable name part for `text`, at most 10 characters. */
export function shortHash(text: string, length = 5): string {
  const digest = createHash("sha256").update(text).digest();
  return Array.from(digest.subarray(0, length), (byte) => ALPHABET[byte % ALPHABET.length]).join("");
}

/** What an API server appends to `generateName`. */
export function randomSuffix(): string {
  return Array.from({ length: 5 }, () => ALPHABET[randomInt(ALPHABET.length)]).join("");
}

/** JSON with sorted keys, so that equal content has equal text. */
export function stableJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === "object" && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}
