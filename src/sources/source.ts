import type { Finding } from "../mesh/finding.ts";
import type { KnownObject } from "../mesh/kinds.ts";

/** Everything a source holds at one moment: valid objects, and what was wrong with the rest. */
export interface ObjectSet {
  /** Sorted by kind, namespace, name; unchanged objects keep their identity from one set to the next. */
  readonly objects: readonly KnownObject[];
  readonly findings: readonly Finding[];
}

/** Where objects come from: a folder today, Kubernetes watches and registries later. */
export interface Source {
  /** Resolves when the first complete set was read; rejects only where nothing can ever be read. */
  start(): Promise<void>;
  current(): ObjectSet;
  /** Called behind every change, never before `start()` resolved. Returns the unsubscription. */
  onChange(listener: (set: ObjectSet) => void): () => void;
  stop(): Promise<void>;
}
