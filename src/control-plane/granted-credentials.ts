import type { WorkloadIdentity } from "../ca/identity.ts";
import { credentialNames, grantsCredentials, selectsProxy, serverCredentials } from "../mesh/credentials.ts";
import type { MeshSnapshot } from "../mesh/snapshot.ts";
import type { BuildCache } from "../platform/build-cache.ts";
import { buildCredentialSecrets } from "../sds/credential-secrets.ts";
import { buildFileSecrets } from "../sds/file-secrets.ts";
import { rulesSelecting } from "../translate/scope.ts";
import type { ProxyNode } from "../xds/node.ts";
import type { EncodedResource } from "../xds/resource-set.ts";

/**
 * The Secrets of its own namespace that a proxy may have: those that a DestinationRule of this namespace names for the
 * workload, or a Gateway that selects it for its servers; and where the files are that such a Gateway names. Only of a pod
 * that the mesh knows and that runs as whom the proxy proved to be: what a proxy says of itself grants nothing.
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
  const { labels } = pod.metadata;
  const servers = mesh.gateways.filter((gateway) => grantsCredentials(gateway, labels)).flatMap(serverCredentials);
  const named = [
    ...credentialNames(rulesSelecting(mesh, identity.namespace, labels)),
    ...servers.map(({ name }) => name),
  ];
  const files = mesh.gateways
    .filter((gateway) => selectsProxy(gateway, labels))
    .flatMap((gateway) => cache.get(buildFileSecrets, gateway));
  if (named.length + files.length === 0) return NONE;
  const found = [...new Set(named)]
    .sort()
    .flatMap((name) => [mesh.secret(identity.namespace, name), mesh.secret(identity.namespace, `${name}-cacert`)])
    .filter((secret) => secret !== undefined)
    .flatMap((secret) => cache.get(buildCredentialSecrets, secret));
  const byName = new Map([...found, ...files].map((resource) => [resource.name, resource]));
  return cache.list(`credentials of ${identity.namespace} ${[...byName.keys()]}`, [...byName.values()]);
}

const NONE: readonly EncodedResource[] = Object.freeze([]);
