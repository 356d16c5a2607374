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
  const further = [...names].flatMap(([hostname, { object, target }]) => {
    const named = known.get(follow(target, names));
    return named === undefined ? [] : [cache.get(buildFurtherName, object, hostname, named)];
  });
  const replaced = new Set(further.map(({ hostname }) => hostname));
  return [...services.filter(({ hostname }) => !replaced.has(hostname)), ...further];
}

function targetOf({ spec }: Service): string | null {
  return spec.type === "ExternalName" ? (spec.externalName?.toLowerCase().replace(/\.$/, "") ?? "") : null;
}

/** A name may stand for one that stands for another; round in a circle nobody is found. */
function follow(target: string, names: ReadonlyMap<string, { readonly target: string }>): string {
  let last = target;
  for (let steps = 0; steps < names.size; steps++) last = names.get(last)?.target ?? last;
  return last;
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
