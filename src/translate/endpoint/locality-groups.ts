import { type Locality, NOWHERE, parseLocality } from "../../mesh/locality.ts";
import { compareText } from "../../mesh/object.ts";
import type { MeshEndpoint } from "../../mesh/service-endpoints.ts";
import { placedLabel } from "../../mesh/topology-labels.ts";
import type { LocalityPreference } from "./locality-preference.ts";
import type { Viewpoint } from "./viewpoint.ts";

/** Endpoints of one place. */
export interface LocalityGroup {
  readonly locality: Locality | null;
  /** 0 is used first, and each next one where what comes before is unhealthy; none is left out. */
  readonly priority: number;
  /** Its share beside others of its priority; 0 where none is said. */
  readonly weight: number;
  readonly members: readonly MeshEndpoint[];
}

/** Without a viewpoint or preference, all endpoints are one group. */
export function groupByLocality(
  endpoints: readonly MeshEndpoint[],
  viewpoint: Viewpoint | null,
  preference: LocalityPreference | null,
): LocalityGroup[] {
  if (endpoints.length === 0) return [];
  if (viewpoint === null) return [{ locality: null, priority: 0, weight: 0, members: endpoints }];
  const groups = Map.groupBy(endpoints, (endpoint) => {
    const { region, zone, subZone } = endpoint.locality;
    return `${String(rank(endpoint, viewpoint, preference)).padStart(3, "0")} ${region}/${zone}/${subZone}`;
  });
  const ordered = [...groups].sort(([a], [b]) => compareText(a, b));
  const weighed =
    preference?.kind === "distribute"
      ? distributed(ordered, viewpoint, preference.distribute)
      : ordered.map(([key, members]) => ({ key, members, weight: 0 }));
  const ranks = [...new Set(weighed.map(({ key }) => key.slice(0, 3)))];
  return weighed.map(({ key, members, weight }) => ({
    locality: members[0]?.locality ?? NOWHERE,
    priority: ranks.indexOf(key.slice(0, 3)),
    weight,
    members,
  }));
}

/** Lower is nearer. Endpoints that are meant for the callers of other zones come last of all. */
function rank(endpoint: MeshEndpoint, viewpoint: Viewpoint, preference: LocalityPreference | null): number {
  const { forZones } = endpoint;
  const hint =
    forZones.length === 0 || viewpoint.locality.zone === "" || forZones.includes(viewpoint.locality.zone) ? 0 : 500;
  return hint + distance(endpoint, viewpoint, preference);
}

function distance(endpoint: MeshEndpoint, viewpoint: Viewpoint, preference: LocalityPreference | null): number {
  const [here, there] = [viewpoint.locality, endpoint.locality];
  switch (preference?.kind) {
    case "labels": {
      const differs = preference.keys.findIndex((key) => !shares(key, endpoint, viewpoint));
      return differs === -1 ? 0 : preference.keys.length - differs;
    }
    case "failover": {
      if (here.region !== there.region) {
        const to = preference.failover.find(({ from }) => from === here.region)?.to;
        return to === undefined || to === there.region ? 3 : 4;
      }
      return here.zone !== there.zone ? 2 : here.subZone !== there.subZone ? 1 : 0;
    }
    default:
      return 0;
  }
}

/** `key` alone asks for the caller's own value, `key=value` for that value. */
function shares(label: string, endpoint: MeshEndpoint, viewpoint: Viewpoint): boolean {
  const [key = "", wanted = placedLabel(key, viewpoint) ?? ""] = label.split("=");
  return (placedLabel(key, endpoint) ?? "") === wanted;
}

type Ordered = readonly (readonly [string, readonly MeshEndpoint[]])[];

/** The shares of the first entry for the caller's locality; localities that it does not name get nothing. */
function distributed(
  ordered: Ordered,
  { locality }: Viewpoint,
  distribute: Extract<LocalityPreference, { kind: "distribute" }>["distribute"],
) {
  const shares = distribute.find(({ from }) => covers(from, locality))?.to;
  if (shares === undefined) return ordered.map(([key, members]) => ({ key, members, weight: 0 }));
  const patterns = Object.entries(shares).sort(([a], [b]) => b.length - a.length || compareText(a, b));
  const patternOf = (members: readonly MeshEndpoint[]) =>
    patterns.find(([pattern]) => covers(pattern, members[0]?.locality ?? NOWHERE));
  const sizes = new Map<string, number>();
  for (const [, members] of ordered) {
    const [pattern] = patternOf(members) ?? [];
    if (pattern !== undefined) sizes.set(pattern, (sizes.get(pattern) ?? 0) + members.length);
  }
  return ordered.flatMap(([key, members]) => {
    const [pattern = "", share = 0] = patternOf(members) ?? [];
    // Several places below one pattern divide its share among them.
    const weight = Math.round((share * 100 * members.length) / (sizes.get(pattern) ?? 1));
    return weight === 0 ? [] : [{ key, members, weight }];
  });
}

/** Whether a pattern such as `us-east/zone1/*` or `us-east` holds for a place. */
function covers(pattern: string, place: Locality): boolean {
  const wanted = parseLocality(pattern);
  const parts: [string, string][] = [
    [wanted.region, place.region],
    [wanted.zone, place.zone],
    [wanted.subZone, place.subZone],
  ];
  return parts.every(([want, have]) => want === "*" || want === "" || want === have);
}
