import type { KnownObject } from "../mesh/kinds.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import { createKubernetesClient } from "./client.ts";
import { createKubernetesSource } from "./kubernetes-source.ts";
import { readKinds } from "./read-kinds.ts";
import type { ReflectorTiming } from "./reflector.ts";
import { openRemoteKubeconfig } from "./remote-kubeconfig.ts";

export interface RemoteClusterDeps {
  readonly clock: Clock;
  readonly random: Pick<Random, "fraction">;
  readonly log: Logger;
  readonly timing?: Partial<ReflectorTiming>;
}

/** Another cluster of the mesh, followed. */
export interface RemoteCluster {
  /** `refused` while the API server does not know the credentials, until it does. */
  state(): "waiting" | "synced" | "refused";
  /** What it holds, once all of it was read. */
  objects(): readonly KnownObject[];
  /** What keeps it from being read now; undefined where nothing does. */
  trouble(): string | undefined;
  stop(): void;
}

/** Who can be called there, and where they are. What is configured there is for that cluster's own control plane. */
const KINDS = new Set(["EndpointSlice", "Namespace", "Node", "Pod", "Service", "WorkloadEntry"]);
/** A kind whose news do not arrive. */
const TROUBLES = new Set(["forbidden", "failing", "absent", "polling"]);

/** Throws `invalid-argument` where the kubeconfig cannot be used. */
export function followRemoteCluster(
  { kubeconfig, where, onChange }: { kubeconfig: string; where: string; onChange(): void },
  deps: RemoteClusterDeps,
): RemoteCluster {
  const { clock, log } = deps;
  const client = createKubernetesClient({ connection: openRemoteKubeconfig(kubeconfig, where), clock });
  const troubles = new Map<string, string>();
  const refusing = new Set<string>();
  let isSynced = false;
  const source = createKubernetesSource({
    ...deps,
    log: log.child({ cluster: where }),
    client,
    kinds: readKinds.filter(({ entry }) => KINDS.has(entry.kind)),
    isPatient: true,
    metrics: {
      kindChanged(kind, status, error) {
        const before = troubles.get(kind);
        if (TROUBLES.has(status)) troubles.set(kind, `${kind} is ${status}${error ? `: ${error.message}` : ""}`);
        else troubles.delete(kind);
        if (error?.code === "unauthenticated") refusing.add(kind);
        else refusing.delete(kind);
        if (before !== troubles.get(kind)) onChange();
      },
    },
  });
  source.onChange(onChange);
  // A patient one never rejects.
  void source.start().then(() => {
    isSynced = true;
    log.info({ where }, "a remote cluster is read");
    onChange();
  });
  return {
    state: () => (isSynced ? "synced" : refusing.size > 0 ? "refused" : "waiting"),
    objects: () => source.current().objects,
    trouble: () => [...troubles.values()].sort()[0],
    stop() {
      void source.stop();
      client.close();
    },
  };
}
