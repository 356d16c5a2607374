import type { BuildCache } from "../platform/build-cache.ts";
import type { Service } from "./kubernetes/core.ts";
import { exportOf, type MeshService } from "./mesh-service.ts";

/**
 * `services` with the Services that are only another name (ExternalName) of one of them in the place of what they would be
 * outside of the mesh: whoever calls by such a name is routed, and secured, as by the other.
 */
export function withFurtherNames(
  services: readonly MeshService[],
  objects: readonly Service[],
  domain: string,
  cache: BuildCache,
): readonly MeshService[] {
  const names = new Map<string, { readonly object: Service; readonly target: string }>();
  for (const object of objects) {
    const { name, namespace } = object.metadata;
    const target = targetOf(object);
    if (target !== null) names.set(`${name}.${namespace}.svc.${domain}`, { object, target });
  }
  if (names.size === 0) return services;
  const known = new Map<string, MeshService>();
  for (const service of services) {
    if (!names.has(service.hostname) && !known.has(service.hostname)) known.set(service.hostname, service);
  }
  const ends = followed(names);
  const further = [...names].flatMap(([hostname, { object, target }]) => {
    const named = known.get(ends.get(target) ?? target);
    return named === undefined ? [] : [cache.get(buildFurtherName, object, hostname, named)];
  });
  const replaced = new Set(further.map(({ hostname }) => hostname));
  return [...services.filter(({ hostname }) => !replaced.has(hostname)), ...further];
}

function targetOf({ spec }: Service): string | null {
  return spec.type === "ExternalName" ? (spec.externalName?.toLowerCase().replace(/\.$/, "") ?? "") : null;
}

/**
 * What each name stands for in the end. A name may stand for one that stands for another; round in a circle it is one of the
 * circle, so that nobody is found. Each step is gone once, however long the chains are.
 */
function followed(names: ReadonlyMap<string, { readonly target: string }>): ReadonlyMap<string, string> {
  const ends = new Map<string, string>();
  for (const start of names.keys()) {
    const passed: string[] = [];
    let last = start;
    while (!ends.has(last)) {
      ends.set(last, last);
      passed.push(last);
      last = names.get(last)?.target ?? last;
    }
    const end = ends.get(last) ?? last;
    for (const name of passed) ends.set(name, end);
  }
  return ends;
}

function buildFurtherName({ metadata }: Service, hostname: string, standsFor: MeshService): MeshService {
  const { name, namespace } = metadata;
  return {
    ...standsFor,
    kind: "Service",
    hostname,
    name,
    namespace,
    addresses: [],
    autoAddresses: [],
    exportTo: exportOf(metadata),
    standsFor,
  };
}
