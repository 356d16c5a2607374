import type { ObjectMeta } from "./object.ts";
import { ownValue } from "./own-value.ts";

/** To which endpoints a service would have its callers sent first: https://kubernetes.io/docs/reference/networking/virtual-ips/#traffic-distribution */
export type TrafficDistribution = "PreferSameZone" | "PreferSameNode";

const FIELD: Readonly<Record<string, TrafficDistribution>> = {
  // Kubernetes' older name of it.
  PreferClose: "PreferSameZone",
  PreferSameZone: "PreferSameZone",
  PreferSameNode: "PreferSameNode",
};
/** Istio reads annotations in any case. */
const ANNOTATION = new Map(Object.entries(FIELD).map(([name, meaning]) => [name.toLowerCase(), meaning]));

type Annotated = Pick<ObjectMeta, "annotations">;

/**
 * As in Istio, by the field, else the object's annotation, else its namespace's. A field that says nothing that is known
 * is none, but an annotation is the end of the search.
 */
export function trafficDistribution(
  object: Annotated,
  namespaceSays: string,
  field: string = "",
): TrafficDistribution | undefined {
  return ownValue(FIELD, field) ?? ANNOTATION.get((distributionAnnotation(object) || namespaceSays).toLowerCase());
}

/** What is annotated, or nothing. */
export function distributionAnnotation({ annotations }: Annotated): string {
  return annotations["networking.istio.io/traffic-distribution"] ?? "";
}
