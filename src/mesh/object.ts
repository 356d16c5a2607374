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
