import type { Registry } from "prom-client";
import type { ServeConfig } from "../config.ts";
import type { KubernetesClient } from "../kubernetes/client.ts";
import { createCredentialSource } from "../kubernetes/credential-source.ts";
import { createKubernetesSource, type KubernetesSource } from "../kubernetes/kubernetes-source.ts";
import { createRemoteSource, type RemoteStatus } from "../kubernetes/remote-source.ts";
import type { Platform } from "../platform/platform.ts";
import { createFileSource } from "../sources/file-source.ts";
import { createGatewayAddresses, createLookUp } from "../sources/gateway-addresses.ts";
import type { Source } from "../sources/source.ts";
import { createKubernetesMetrics } from "./kubernetes-metrics.ts";
import { recordRemotes } from "./remote-metrics.ts";

export interface MeshSourceDeps {
  readonly config: Pick<ServeConfig, "source" | "systemNamespace" | "readsRemoteClusters">;
  readonly platform: Platform & { readonly registry: Registry };
  /** Null where folders are served. */
  readonly kubernetes: KubernetesClient | null;
  /** The name of the cluster that is served. */
  readonly clusterId: string;
}

export interface MeshSource {
  readonly source: Source;
  /** The part that follows the cluster itself; null where folders are served. */
  readonly cluster: KubernetesSource | null;
  /** The mesh's other clusters. */
  remotes(): readonly RemoteStatus[];
}

/** Where the mesh's objects come from: folders; or a cluster, the Secrets that its rules name, and other clusters. */
export function createMeshSource({ config, platform, kubernetes, clusterId }: MeshSourceDeps): MeshSource {
  const { clock, log, registry } = platform;
  if (kubernetes === null) {
    const dirs = config.source.kind === "folders" ? config.source.dirs : [];
    return { source: createFileSource({ dirs, clock, log }), cluster: null, remotes: () => [] };
  }
  const cluster = createKubernetesSource({
    ...platform,
    client: kubernetes,
    metrics: createKubernetesMetrics(registry),
  });
  const whole = createCredentialSource({ ...platform, client: kubernetes, source: cluster });
  const withGateways = (source: Source) => createGatewayAddresses({ source, lookUp: createLookUp(), clock, log });
  if (!config.readsRemoteClusters) return { source: withGateways(whole), cluster, remotes: () => [] };
  const source = createRemoteSource({
    ...{ clock, log, random: platform.random, client: kubernetes, source: whole },
    namespace: config.systemNamespace,
    ownCluster: clusterId,
  });
  recordRemotes(registry, source.remotes);
  return { source: withGateways(source), cluster, remotes: source.remotes };
}
