import { isRecord } from "../mesh/conform.ts";
import type { Finding } from "../mesh/finding.ts";
import { compareText } from "../mesh/object.ts";
import type { KubernetesObject } from "./object.ts";
import { secretData } from "./secret-data.ts";

/** A cluster that a Secret says belongs to the mesh. */
export interface WantedCluster {
  /** `NAMESPACE/NAME`. */
  readonly secret: string;
  readonly kubeconfig: string;
}

/** Each takes five watches and the memory of what it holds; a Secret has room for a hundred thousand names. */
export const MAX_CLUSTERS = 100;

/** Each key of a Secret is a cluster's name. Of two Secrets that name one, the first by name counts; so do the first `MAX_CLUSTERS`. */
export function wantedClusters(
  secrets: readonly KubernetesObject[],
  ownCluster: string,
): { readonly wanted: ReadonlyMap<string, WantedCluster>; readonly findings: readonly Finding[] } {
  const wanted = new Map<string, WantedCluster>();
  const findings: Finding[] = [];
  let surplus: { readonly secret: NonNullable<Finding["object"]>; readonly cluster: string } | undefined;
  const inOrder = secrets.toSorted((a, b) => compareText(a.metadata.name ?? "", b.metadata.name ?? ""));
  for (const secret of inOrder) {
    const { namespace = "", name = "" } = secret.metadata;
    for (const cluster of Object.keys(isRecord(secret.data) ? secret.data : {}).sort()) {
      const first = wanted.get(cluster);
      const rival = cluster === ownCluster ? "this control plane's own cluster (`clusterId`)" : first?.secret;
      if (rival === undefined && wanted.size === MAX_CLUSTERS) {
        surplus ??= { secret: { kind: "Secret", namespace, name }, cluster };
        continue;
      }
      if (rival === undefined) {
        const kubeconfig = secretData(secret, cluster)?.toString("utf8") ?? "";
        wanted.set(cluster, { secret: `${namespace}/${name}`, kubeconfig });
        continue;
      }
      const message = `Secret ${namespace}/${name}: data["${cluster}"] names a cluster that ${rival} is already: it has no effect; clusters need names of their own`;
      const object = { kind: "Secret", namespace, name };
      findings.push({ severity: "error", code: "object-duplicate", message, object, field: `data["${cluster}"]` });
    }
  }
  if (surplus !== undefined) {
    const { secret: object, cluster } = surplus;
    const message = `Secret ${object.namespace}/${object.name}: data["${cluster}"] and what follows by name have no effect: a mesh has at most ${MAX_CLUSTERS} other clusters`;
    findings.push({ severity: "error", code: "value-invalid", message, object, field: `data["${cluster}"]` });
  }
  return { wanted, findings };
}
