import { randomBytes, randomInt } from "node:crypto";

/** Chance as a dependency: production passes `systemRandom`, tests their own. */
export interface Random {
  /** `length` bytes fit for serial numbers and identifiers. */
  bytes(length: number): Uint8Array;
  /** At least 0 and below 1, for jitter. */
  fraction(): number;
}

const STEPS = 2 ** 40;

/** Drawn at once, since the asking costs more than the drawing. */
const POOL_BYTES = 4096;

let pool = Buffer.alloc(0);

function pooledBytes(length: number): Uint8Array {
  if (length > POOL_BYTES / 16) return randomBytes(length);
  if (pool.length < length) pool = randomBytes(POOL_BYTES);
  const bytes = new Uint8Array(pool.subarray(0, length));
  pool = pool.subarray(length);
  return bytes;
}

export const systemRandom: Random = {
  bytes: pooledBytes,
  fraction: () => randomInt(STEPS) / STEPS,
};
