import { describeObject, type Finding } from "../mesh/finding.ts";
import type { KnownObject } from "../mesh/kinds.ts";
import type { MeshConfig } from "../mesh/mesh-config.ts";
import { refOf } from "../mesh/object.ts";
import type { Clock } from "../platform/clock.ts";
import { buildStatuses, isConfiguration } from "../status/build-statuses.ts";
import {
  arrivedProxies,
  buildDistributions,
  type Distributions,
  type HeldObject,
  mergeDistributions,
} from "../status/distribution.ts";
import type { ObjectStatus } from "../status/object-status.ts";
import type { ProxyProgress } from "../xds/proxy-progress.ts";

export interface ObjectStatusesDeps {
  readonly clock: Clock;
  config(): MeshConfig;
  /** The proxies that are connected to this control plane. */
  progress(): readonly ProxyProgress[];
  /** How far objects have come among the proxies of other replicas; the same list for as long as it says the same. */
  elsewhere(): readonly Distributions[];
}

/** What became of the mesh's configuration: what is wrong with it, and which proxies have it. */
export interface ObjectStatuses {
  /** These are the objects that proxies are served from now on. */
  meshChanged(objects: readonly KnownObject[]): void;
  /** What was found of these objects. */
  setFindings(findings: readonly Finding[], objects: readonly KnownObject[]): void;
  /** Among the proxies of this control plane alone; the same for as long as nothing changes. */
  distributions(): Distributions;
  /** The same list for as long as nothing changes. */
  current(): readonly ObjectStatus[];
}

export function createObjectStatuses(deps: ObjectStatusesDeps): ObjectStatuses {
  const { clock, config, progress, elsewhere } = deps;
  let held = new Map<string, HeldObject>();
  let last: readonly KnownObject[] = [];
  let found: { readonly findings: readonly Finding[]; readonly objects: readonly KnownObject[] } = {
    findings: [],
    objects: [],
  };
  const distributions = remembered(
    () => {
      const proxies = arrivedProxies(progress(), clock.now());
      return { held, config: config(), proxies, digest: digestOf(proxies) };
    },
    ({ held, config, proxies }) => buildDistributions({ held: [...held.values()], config, proxies }),
    ["held", "config", "digest"],
  );
  const statuses = remembered(
    () => ({ ...found, own: distributions(), others: elsewhere() }),
    ({ findings, objects, own, others }) =>
      buildStatuses({ findings, objects, distributions: mergeDistributions([own, ...others]) }),
    ["findings", "objects", "own", "others"],
  );
  return {
    meshChanged(objects) {
      const configured = objects.filter(({ kind }) => isConfiguration(kind));
      // Endpoints change often, and nothing here does with them.
      if (configured.length === last.length && configured.every((object, at) => object === last[at])) return;
      last = configured;
      const now = clock.now();
      const next = new Map<string, HeldObject>();
      for (const object of configured) {
        const key = describeObject(refOf(object));
        const before = held.get(key);
        next.set(key, before?.object === object ? before : { object, sinceMs: now });
      }
      held = next;
    },
    setFindings(findings, objects) {
      found = { findings, objects };
    },
    distributions,
    current: statuses,
  };
}

/** Computes anew only where one of the inputs that count is another one than the last time. */
function remembered<I extends object, O>(
  read: () => I,
  compute: (input: I) => O,
  counts: readonly (keyof I)[],
): () => O {
  let known: { readonly input: I; readonly output: O } | undefined;
  return () => {
    const input = read();
    if (known === undefined || counts.some((name) => known?.input[name] !== input[name])) {
      known = { input, output: compute(input) };
    }
    return known.output;
  };
}

function digestOf(proxies: readonly ProxyProgress[]): string {
  return proxies
    .map(({ proxy, connectedSinceMs, behindSinceMs, refusals }) => {
      const refused = refusals.map(({ refused: { name, version } }) => `${name} ${version}`);
      return [proxy.id, connectedSinceMs, behindSinceMs, ...refused].join();
    })
    .join("\n");
}
