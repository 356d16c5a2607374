import type { Finding } from "./finding.ts";
import type { KnownObject } from "./kinds.ts";

/** Everything a source holds at one moment: valid objects, and what was wrong with the rest. */
export interface ObjectSet {
  /** Sorted by kind, namespace, name; unchanged objects keep their identity from one set to the next. */
  readonly objects: readonly KnownObject[];
  readonly findings: readonly Finding[];
  /** What is seen of the mesh's other clusters, in order of their names; left out where there are none. */
  readonly remotes?: readonly RemoteObjects[];
  /** What the host names of gateways between networks lead to; left out where there are none. */
  readonly addresses?: ReadonlyMap<string, readonly string[]>;
}

/** What another cluster of the mesh has to offer: Services, EndpointSlices, Pods, Nodes and Namespaces. */
export interface RemoteObjects {
  /** As its Secret names it. */
  readonly cluster: string;
  readonly objects: readonly KnownObject[];
}
