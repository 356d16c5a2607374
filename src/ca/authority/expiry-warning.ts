const DAY_MS = 86_400_000;

/** How urgent it is that an authority is replaced. */
export type ExpiryWarning = "30d" | "7d" | "1d" | "expired";

const LEVELS: readonly (readonly [ExpiryWarning, number])[] = [
  ["expired", 0],
  ["1d", DAY_MS],
  ["7d", 7 * DAY_MS],
  ["30d", 30 * DAY_MS],
];

/**
 * The warning that is due with this much of a life left; null while there is no hurry. A life that is short by
 * intention is not warned of before two thirds of it are over.
 */
export function expiryWarning(validity: { notBefore: number; notAfter: number }, now: number): ExpiryWarning | null {
  const leftMs = validity.notAfter - now;
  const lifeMs = validity.notAfter - validity.notBefore;
  if (leftMs > lifeMs / 3) return null;
  return LEVELS.find(([, atMs]) => leftMs <= atMs)?.[0] ?? null;
}
