import type { ObjectSet } from "../mesh/object-set.ts";
import { messageOf } from "../platform/errors.ts";
import type { Logger } from "../platform/log.ts";

/** Whoever follows a source. */
export interface Listeners {
  /** Returns the unsubscription. */
  add(listener: (set: ObjectSet) => void): () => void;
  /** One that throws is logged, and the others are told all the same. */
  tell(set: ObjectSet): void;
}

export function createListeners(log: Pick<Logger, "error">): Listeners {
  const listeners = new Set<(set: ObjectSet) => void>();
  return {
    add(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    tell(set) {
      for (const listener of [...listeners]) {
        try {
          listener(set);
        } catch (thrown) {
          log.error({ reason: messageOf(thrown) }, "a listener to configuration changes failed");
        }
      }
    },
  };
}
