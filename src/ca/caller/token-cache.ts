import { hash } from "node:crypto";
import type { Clock } from "../../platform/clock.ts";

/** What is known of tokens for a while. Holds their hashes, not the tokens. */
export interface TokenCache<T> {
  get(token: string): T | undefined;
  /** `until` is in milliseconds since the epoch. The oldest entry goes where there are too many. */
  set(token: string, value: T, until: number): void;
}

export function createTokenCache<T>(deps: {
  readonly clock: Pick<Clock, "now">;
  readonly maxEntries: number;
}): TokenCache<T> {
  const entries = new Map<string, { readonly value: T; readonly until: number }>();
  const keyOf = (token: string): string => hash("sha256", token, "base64");
  return {
    get(token) {
      const entry = entries.get(keyOf(token));
      return entry !== undefined && deps.clock.now() < entry.until ? entry.value : undefined;
    },
    set(token, value, until) {
      const key = keyOf(token);
      entries.delete(key);
      entries.set(key, { value, until });
      for (const oldest of entries.keys()) {
        if (entries.size <= deps.maxEntries) break;
        entries.delete(oldest);
      }
    },
  };
}
