/** How long to wait before something that failed is tried again. */
export interface BackOff {
  readonly baseMs: number;
  readonly maxMs: number;
  /** What ran for as long as this counts as well again. */
  readonly resetAfterMs: number;
}

/** As a kubelet's, but shorter: someone is watching. */
export const defaultBackOff: BackOff = { baseMs: 1_000, maxMs: 30_000, resetAfterMs: 60_000 };

/** The first restart comes at once, then the delay doubles with every failure. */
export function restartDelayMs(backOff: BackOff, failures: number): number {
  return failures === 0 ? 0 : Math.min(backOff.maxMs, backOff.baseMs * 2 ** (failures - 1));
}
