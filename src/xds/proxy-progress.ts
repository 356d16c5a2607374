import type { ProxyNode } from "./node.ts";
import type { Refusal } from "./refusals.ts";

/** How far one connected proxy has come. */
export interface ProxyProgress {
  readonly proxy: ProxyNode;
  /** Milliseconds since the Unix epoch. */
  readonly connectedSinceMs: number;
  /** What changed before has reached it; null where all of it has. Zero until it has all for the first time. */
  readonly behindSinceMs: number | null;
  readonly refusals: readonly Refusal[];
}
