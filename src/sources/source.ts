import type { ObjectSet } from "../mesh/object-set.ts";

/** Where objects come from: folders, or a cluster. */
export interface Source {
  /** Resolves when the first complete set was read; rejects only where nothing can ever be read. */
  start(): Promise<void>;
  current(): ObjectSet;
  /** Called behind every change, never before `start()` resolved. Returns the unsubscription. */
  onChange(listener: (set: ObjectSet) => void): () => void;
  stop(): Promise<void>;
}
