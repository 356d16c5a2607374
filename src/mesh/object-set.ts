import type { Finding } from "./finding.ts";
import type { KnownObject } from "./kinds.ts";

/** Everything a source holds at one moment: valid objects, and what was wrong with the rest. */
export interface ObjectSet {
  /** Sorted by kind, namespace, name; unchanged objects keep their identity from one set to the next. */
  readonly objects: readonly KnownObject[];
  readonly findings: readonly Finding[];
}
