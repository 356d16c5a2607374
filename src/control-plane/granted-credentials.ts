import type { WorkloadIdentity } from "../ca/identity.ts";
import { credentialNames } from "../mesh/credentials.ts";
import type { MeshSnapshot } from "../mesh/snapshot.ts";
import type { BuildCache } from "../platform/build-cache.ts";
import { buildCredentialSecrets } from "../sds/credential-secrets.ts";
import { rulesSelecting } from "../translate/scope.ts";
import type { ProxyNode } from "../xds/node.ts";
import type { EncodedResource } from "../xds/resource-set.ts";

/**
 * The Secrets of its own namespace that a proxy may have: those that a DestinationRule of this namespace names for the
 * workload. Only of a pod that the mesh knows and that runs as whom the proxy proved to be: what a proxy says of itself
 * grants nothing.
 */
export function grantedCredentials(
  mesh: MeshSnapshot,
  proxy: Pick<ProxyNode, "name" | "namespace">,
  identity: WorkloadIdentity,
  cache: BuildCache,
): readonly EncodedResource[] {
  const pod = mesh.pods.get(`${identity.namespace}/${proxy.name}`);
  if (pod === undefined || proxy.namespace !== identity.namespace) return NONE;
  if ((pod.spec.serviceAccountName || "default") !== identity.serviceAccount) return NONE;
  const names = credentialNames(rulesSelecting(mesh, identity.namespace, pod.metadata.labels));
  if (names.length === 0) return NONE;
  const found = names
    .flatMap((name) => [mesh.secret(identity.namespace, name), mesh.secret(identity.namespace, `${name}-cacert`)])
    .filter((secret) => secret !== undefined)
    .flatMap((secret) => cache.get(buildCredentialSecrets, secret));
  const byName = new Map(found.map((resource) => [resource.name, resource]));
  return cache.list(`credentials of ${identity.namespace} ${names}`, [...byName.values()]);
}

const NONE: readonly EncodedResource[] = Object.freeze([]);
