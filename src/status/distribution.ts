import { describeObject } from "../mesh/finding.ts";
import type { KnownObject } from "../mesh/kinds.ts";
import { labelsMatch } from "../mesh/labels.ts";
import type { MeshConfig } from "../mesh/mesh-config.ts";
import { refOf } from "../mesh/object.ts";
import type { ProxyProgress } from "../xds/proxy-progress.ts";
import { type Audience, audienceOf } from "./audience.ts";
import { type BlamedRefusals, blameRefusals } from "./blame.ts";

/** How far one object has come among the proxies that it concerns. */
export interface Distribution {
  readonly generation: number | null;
  /** Proxies that it concerns. */
  readonly proxies: number;
  /** Of these, those that have all that was made of it. */
  readonly reached: number;
  /** Of these, those that refused some of it. */
  readonly refused: number;
  /** Why one of them did. */
  readonly refusal: { readonly proxy: string; readonly message: string } | null;
}

/** By `describeObject`. */
export type Distributions = ReadonlyMap<string, Distribution>;

/** An object and since when the mesh has had it as it is, in milliseconds since the Unix epoch. */
export interface HeldObject {
  readonly object: KnownObject;
  readonly sinceMs: number;
}

export interface DistributionInput {
  readonly held: readonly HeldObject[];
  readonly proxies: readonly ProxyProgress[];
  readonly config: Pick<MeshConfig, "rootNamespaces">;
}

/** A proxy that has just come may take this long until it counts. */
const ARRIVAL_MS = 10_000;

/** Those of the proxies that count by now. */
export function arrivedProxies(proxies: readonly ProxyProgress[], nowMs: number): readonly ProxyProgress[] {
  return proxies.filter(
    ({ behindSinceMs, connectedSinceMs }) => behindSinceMs !== 0 || nowMs - connectedSinceMs >= ARRIVAL_MS,
  );
}

/** How far each object has come among the proxies that are connected here. */
export function buildDistributions({ held, proxies, config }: DistributionInput): Distributions {
  const byNamespace = Map.groupBy(proxies, ({ proxy }) => proxy.namespace);
  const blamed = blameRefusals(
    proxies,
    held.map(({ object }) => object),
  );
  return new Map(
    held.map(({ object, sinceMs }) => {
      const audience = audienceOf(object, config);
      const concerned = concernedOf(audience, proxies, byNamespace);
      return [describeObject(refOf(object)), distributionOf(object, sinceMs, concerned, blamed)];
    }),
  );
}

function concernedOf(
  { namespaces, labels }: Audience,
  all: readonly ProxyProgress[],
  byNamespace: ReadonlyMap<string, readonly ProxyProgress[]>,
): readonly ProxyProgress[] {
  const seeing = namespaces === "all" ? all : namespaces.flatMap((namespace) => byNamespace.get(namespace) ?? []);
  return Object.keys(labels).length === 0 ? seeing : seeing.filter(({ proxy }) => labelsMatch(labels, proxy.labels));
}

function distributionOf(
  object: KnownObject,
  sinceMs: number,
  concerned: readonly ProxyProgress[],
  blamed: BlamedRefusals,
): Distribution {
  const refusals = blamed.of(object);
  // Whoever refuses it was sent it, whatever it seemed to be for.
  const proxies = refusals === undefined ? concerned : [...new Set([...concerned, ...refusals.keys()])];
  let reached = 0;
  for (const progress of proxies) {
    if (refusals?.has(progress) === true) continue;
    if (progress.behindSinceMs === null || progress.behindSinceMs > sinceMs) reached++;
  }
  const words = [...(refusals ?? [])].map(([{ proxy }, message]) => ({
    proxy: `${proxy.name}.${proxy.namespace}`,
    message,
  }));
  words.sort((a, b) => (a.proxy < b.proxy ? -1 : 1));
  const generation = object.metadata.generation ?? null;
  return { generation, proxies: proxies.length, reached, refused: words.length, refusal: words[0] ?? null };
}

/** What several control planes know together: each proxy is connected to one of them. */
export function mergeDistributions(all: readonly Distributions[]): Distributions {
  const [own = new Map<string, Distribution>(), ...others] = all;
  if (others.length === 0) return own;
  return new Map(
    [...own].map(([key, first]) => [key, others.reduce((sum, other) => join(sum, other.get(key)), first)]),
  );
}

/** Where another one has another version of the object, its proxies have not been reached. */
function join(a: Distribution, b: Distribution | undefined): Distribution {
  if (b === undefined) return a;
  const proxies = a.proxies + b.proxies;
  if (b.generation !== a.generation) return { ...a, proxies };
  const [refusal] = [a.refusal, b.refusal]
    .filter((one) => one !== null)
    .sort((one, other) => (one.proxy < other.proxy ? -1 : 1));
  return {
    ...a,
    proxies,
    reached: a.reached + b.reached,
    refused: a.refused + b.refused,
    refusal: refusal ?? null,
  };
}
