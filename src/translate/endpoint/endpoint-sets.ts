import { compareText } from "../../mesh/object.ts";
import { CLUSTER_LABEL, NODE_LABEL } from "../../mesh/topology-labels.ts";
import type { BuildCache } from "../../platform/build-cache.ts";
import type { EncodedResource } from "../../xds/resource-set.ts";
import { type AssignmentInput, buildAssignments } from "./assignment.ts";
import type { Viewpoint } from "./viewpoint.ts";

/** The endpoints of what one outbound part reaches, seen from different places. */
export interface EndpointSets {
  /** Lists that keep their identity; callers for whom nothing differs share one. */
  seenFrom(viewpoint: () => Viewpoint): readonly EncodedResource[];
}

/** `outbound` must be the same object for all proxies that share what is made. */
export function createEndpointSets(
  { assignments, view }: { readonly assignments: readonly AssignmentInput[]; readonly view: string },
  cache: BuildCache,
): EndpointSets {
  const needing = assignments.filter(({ looksAt }) => looksAt !== null);
  const known = new Map<string, readonly EncodedResource[]>();
  return {
    seenFrom(viewpoint) {
      // Most meshes ask nobody where they are.
      const from = needing.length === 0 ? null : reduced(viewpoint(), needing);
      const key = JSON.stringify(from);
      let list = known.get(key);
      if (list === undefined) {
        const differing = new Set(from === null ? [] : needing);
        const place = from === null ? null : cache.get(buildViewpoint, VIEWPOINTS, key);
        const resources: EncodedResource[] = [];
        for (const input of assignments) {
          resources.push(...cache.get(buildAssignments, input, differing.has(input) ? place : null));
        }
        list = cache.list(`endpoints ${view} ${key}`, resources);
        known.set(key, list);
      }
      return list;
    },
  };
}

/** Of a viewpoint, what somebody looks at: labels and nodes differ between almost all callers. */
function reduced(
  { locality, nodeName, cluster, network, labels }: Viewpoint,
  needing: readonly AssignmentInput[],
): Viewpoint {
  const wanted = new Set(needing.flatMap(({ looksAt }) => looksAt ?? []));
  return {
    locality,
    nodeName: wanted.has(NODE_LABEL) ? nodeName : "",
    cluster: wanted.has(CLUSTER_LABEL) ? cluster : "",
    network,
    labels: Object.fromEntries(
      Object.entries(labels)
        .filter(([key]) => wanted.has(key))
        .sort(([a], [b]) => compareText(a, b)),
    ),
  };
}

/** Viewpoints that say the same are one object, so that they can be a builder's input. */
const VIEWPOINTS = {};

function buildViewpoint(_all: typeof VIEWPOINTS, json: string): Viewpoint {
  return JSON.parse(json);
}
