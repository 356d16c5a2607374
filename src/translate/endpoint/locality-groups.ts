import { type Locality, NOWHERE, parseLocality } from "../../mesh/locality.ts";
import { NETWORK_LABEL } from "../../mesh/network-gateways.ts";
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
    return `${String(rank(endpoint, viewpoint, preference)).padStart(RANK_DIGITS, "0")} ${region}/${zone}/${subZone}`;
  });
  const ordered = [...groups].sort(([a], [b]) => compareText(a, b));
  const weighed =
    preference?.kind === "distribute"
      ? distributed(ordered, viewpoint, preference.distribute)
      : ordered.map(([key, members]) => ({ key, members, weight: 0 }));
  const ranks = [...new Set(weighed.map(({ key }) => key.slice(0, RANK_DIGITS)))];
  return weighed.map(({ key, members, weight }) => ({
    locality: members[0]?.locality ?? NOWHERE,
    priority: ranks.indexOf(key.slice(0, RANK_DIGITS)),
    weight,
    members,
  }));
}

/** Groups are in the order of their keys, which begin with the rank. */
const RANK_DIGITS = 10;
/** Farther than any number of labels makes an endpoint. */
const OF_OTHER_ZONES = 5_000_000_000;

/** Lower is nearer. Endpoints that are meant for the callers of other zones come last of all. */
function rank(endpoint: MeshEndpoint, viewpoint: Viewpoint, preference: LocalityPreference | null): number {
  const { forZones } = endpoint;
  const { zone } = viewpoint.locality;
  const isForOthers = forZones.length > 0 && zone !== "" && !forZones.includes(zone);
  return (isForOthers ? OF_OTHER_ZONES : 0) + distance(endpoint, viewpoint, preference);
}

function distance(endpoint: MeshEndpoint, viewpoint: Viewpoint, preference: LocalityPreference | null): number {
  switch (preference?.kind) {
    case "labels": {
      const byLabels = labelDistance(preference.keys, endpoint, viewpoint);
      if (preference.failover.length === 0) return byLabels;
      return byLabels * PLACE_DISTANCES + placeDistance(preference.failover, endpoint, viewpoint);
    }
    case "failover":
      return placeDistance(preference.failover, endpoint, viewpoint);
    default:
      return 0;
  }
}

/** As many as `placeDistance` can tell apart. */
const PLACE_DISTANCES = 5;

function placeDistance(
  failover: Extract<LocalityPreference, { kind: "failover" }>["failover"],
  { locality: there }: MeshEndpoint,
  { locality: here }: Viewpoint,
): number {
  if (here.region !== there.region) {
    const to = failover.find(({ from }) => from === here.region)?.to;
    return to === undefined || to === there.region ? 3 : 4;
  }
  return here.zone !== there.zone ? 2 : here.subZone !== there.subZone ? 1 : 0;
}

/** As in Istio, a network that comes first is no end of the order: beyond it the other labels go on to tell what is near. */
function labelDistance(keys: readonly string[], endpoint: MeshEndpoint, viewpoint: Viewpoint): number {
  const crosses = keys[0] === NETWORK_LABEL && !shares(NETWORK_LABEL, endpoint, viewpoint);
  const differs = keys.findIndex((key, index) => !(crosses && index === 0) && !shares(key, endpoint, viewpoint));
  return (crosses ? keys.length : 0) + (differs === -1 ? 0 : keys.length - differs);
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
    if (pattern !== undefined) sizes.set(pattern, (sizes.get(pattern) ?? 0) + weightOf(members));
  }
  return ordered.flatMap(([key, members]) => {
    const [pattern = "", share = 0] = patternOf(members) ?? [];
    // Several places below one pattern divide its share among them, by what their endpoints weigh.
    const weight = Math.round((share * 100 * weightOf(members)) / (sizes.get(pattern) ?? 1));
    return weight === 0 ? [] : [{ key, members, weight }];
  });
}

/** Where none is said an endpoint weighs 1. */
function weightOf(members: readonly MeshEndpoint[]): number {
  return members.reduce((sum, { weight }) => sum + (weight || 1), 0);
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
