import type { ObjectRef, Origin } from "./finding.ts";

export interface ObjectMeta {
  readonly name: string;
  /** Always filled in: `default` where a namespaced document names none, empty for cluster-scoped kinds. */
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  /** RFC 3339. Older objects win where two claim the same thing, as in Istio. */
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly ownerReferences?: readonly { apiVersion: string; kind: string; name: string; controller?: boolean }[];
}

/** A parsed, validated and deeply frozen object. Its identity (===) changes only when its content does. */
export interface MeshObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
  /** Absent for objects that were not read from a file. */
  readonly origin?: Origin;
}

export function refOf(object: MeshObject): ObjectRef {
  return { kind: object.kind, namespace: object.metadata.namespace, name: object.metadata.name };
}

/**
 * Orders by age, then name and namespace, as Istio does: where two objects claim the same thing, the first one has it.
 * What no cluster has stored yet will be the youngest there.
 */
export function olderFirst(a: MeshObject, b: MeshObject): number {
  return (
    compareText(a.metadata.creationTimestamp ?? UNBORN, b.metadata.creationTimestamp ?? UNBORN) ||
    compareText(a.metadata.name, b.metadata.name) ||
    compareText(a.metadata.namespace, b.metadata.namespace)
  );
}

/** Behind every year. */
const UNBORN = "~";

/** By code units, the same in every locale. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
