import { ownValue } from "../mesh/own-value.ts";
import { groupOf, type KindSchema, kindSchemas } from "../mesh/schemas.ts";

/** A kind that is read from a cluster, and how. */
export interface ReadKind {
  readonly entry: KindSchema;
  /** The plural of Kubernetes' own kinds; that of Istio's is discovered, since their CRDs may be missing. */
  readonly resource?: string;
  /** Whether nothing may be served without it, where it may not be read. */
  readonly required: boolean;
  /** Selectors. */
  readonly query?: Readonly<Record<string, string>>;
  readonly metadataOnly?: boolean;
}

const KUBERNETES_KINDS: Readonly<Record<string, Omit<ReadKind, "entry">>> = {
  // The mesh config, of the namespaces where it may be; no other ConfigMap is read.
  ConfigMap: { resource: "configmaps", required: false, query: { fieldSelector: "metadata.name=istio" } },
  EndpointSlice: { resource: "endpointslices", required: true },
  Namespace: { resource: "namespaces", required: true, metadataOnly: true },
  Node: { resource: "nodes", required: false, metadataOnly: true },
  // Pods that have ended stay on for as long as their Job does.
  Pod: {
    resource: "pods",
    required: true,
    query: { fieldSelector: "status.phase!=Succeeded,status.phase!=Failed" },
  },
  Service: { resource: "services", required: true },
};

/** Without them the mesh would be more open than its users wrote. */
const SECURITY_GROUP = "security.istio.io";

/** Every kind that is read from a cluster. */
export const readKinds: readonly ReadKind[] = kindSchemas.flatMap((entry): ReadKind[] => {
  if (entry.istio) return [{ entry, required: groupOf(entry.apiVersions[0]) === SECURITY_GROUP }];
  const settings = ownValue<Omit<ReadKind, "entry">>(KUBERNETES_KINDS, entry.kind);
  return settings === undefined ? [] : [{ entry, ...settings }];
});
