import type { Service } from "../mesh/kubernetes/core.ts";

/** The kinds of this folder speak of Services only through these questions. */

/** A Service whose name resolves to its pods rather than to an address of its own. */
export function isHeadless(service: Service): boolean {
  return service.spec.clusterIP === "None";
}

export function isExternalName(service: Service): boolean {
  return service.spec.type === "ExternalName";
}

export function selects(service: Service, labels: Readonly<Record<string, string>>): boolean {
  const selector = Object.entries(service.spec.selector ?? {});
  return selector.length > 0 && selector.every(([key, value]) => labels[key] === value);
}
