import { randomBytes, randomInt } from "node:crypto";

/** Chance as a dependency: production passes `systemRandom`, tests their own. */
export interface Random {
  /** `length` bytes fit for serial numbers and identifiers. */
  bytes(length: number): Uint8Array;
  /** At least 0 and below 1, for jitter. */
  fraction(): number;
}

const STEPS = 2 ** 40;

export const systemRandom: Random = {
  bytes: (length) => randomBytes(length),
  fraction: () => randomInt(STEPS) / STEPS,
};
