import type { Finding } from "../mesh/finding.ts";
import { compareText } from "../mesh/object.ts";
import type { ObjectSet } from "../mesh/object-set.ts";
import { TrysailError } from "../platform/errors.ts";
import { createListeners } from "../sources/listeners.ts";
import type { Source } from "../sources/source.ts";
import type { KubernetesClient } from "./client.ts";
import type { KubernetesObject } from "./object.ts";
import { objectMap } from "./object-map.ts";
import { startReflector } from "./reflector.ts";
import { followRemoteCluster, type RemoteCluster, type RemoteClusterDeps } from "./remote-cluster.ts";
import { resourcePath } from "./resource-path.ts";
import { type WantedCluster, wantedClusters } from "./wanted-clusters.ts";

/** As Istio labels them: https://istio.io/latest/docs/reference/commands/istioctl/#istioctl-create-remote-secret */
export const REMOTE_SECRET_LABEL = "istio/multiCluster=true";

export interface RemoteSourceDeps extends RemoteClusterDeps {
  readonly client: Pick<KubernetesClient, "list" | "watch">;
  /** Where the Secrets are. */
  readonly namespace: string;
  /** The name of the cluster that `source` reads: it is not remote. */
  readonly ownCluster: string;
  /** The mesh's own cluster. */
  readonly source: Source;
}

/** How far another cluster is read. */
export interface RemoteStatus {
  readonly cluster: string;
  /** `NAMESPACE/NAME` of the Secret that names it. */
  readonly secret: string;
  readonly status: "synced" | "waiting" | "unusable";
  /** Why its news do not arrive, where they do not. */
  readonly reason?: string;
}

export interface RemoteSource extends Source {
  /** In order of their names. */
  remotes(): readonly RemoteStatus[];
}

/** A start does not wait longer than this for other clusters, of which one may be away. */
const START_MS = 30_000;
const GATHER_MS = 5;

interface Followed extends WantedCluster {
  /** Undefined where the kubeconfig cannot be used. */
  readonly active: RemoteCluster | undefined;
  /** By new credentials; takes over once it has read everything. */
  readonly next: RemoteCluster | undefined;
  readonly refused: string | undefined;
}

/** Adds to what one cluster holds what its mesh's other clusters have, for as long as labelled Secrets name them. */
export function createRemoteSource(deps: RemoteSourceDeps): RemoteSource {
  const { source, client, namespace, ownCluster, clock, random, log, timing = {} } = deps;
  let secrets: ReadonlyMap<string, KubernetesObject> = new Map();
  const followed = new Map<string, Followed>();
  const listeners = createListeners(log);
  let conflicts: readonly Finding[] = [];
  let denied: readonly Finding[] = [];
  let areSecretsKnown = false;
  let current: ObjectSet = source.current();
  let cancelPublish: (() => void) | undefined;
  let unsubscribe = () => {};
  let stopSecrets = () => {};
  let settled = () => {};
  let isStarted = false;

  const open = (cluster: string, { secret, kubeconfig }: WantedCluster): RemoteCluster | string => {
    try {
      const where = `Secret ${secret} key ${cluster}`;
      return followRemoteCluster({ kubeconfig, where, onChange: () => clusterChanged(cluster) }, deps);
    } catch (error) {
      if (!(error instanceof TrysailError)) throw error;
      return error.message;
    }
  };

  const follow = (): void => {
    const { wanted, findings } = wantedClusters([...secrets.values()], ownCluster);
    conflicts = findings;
    for (const [cluster, known] of followed) {
      if (wanted.has(cluster)) continue;
      followed.delete(cluster);
      known.active?.stop();
      known.next?.stop();
      log.info({ cluster, secret: known.secret }, "a remote cluster left the mesh");
    }
    for (const [cluster, each] of wanted) {
      const known = followed.get(cluster);
      if (known?.secret === each.secret && known.kubeconfig === each.kubeconfig) continue;
      known?.next?.stop();
      const opened = open(cluster, each);
      const kept = { ...each, active: known?.active };
      if (typeof opened === "string") {
        log.warn({ cluster, reason: opened }, "a remote cluster's kubeconfig cannot be used");
        followed.set(cluster, { ...kept, next: undefined, refused: opened });
      } else if (known?.active === undefined) {
        followed.set(cluster, { ...each, active: opened, next: undefined, refused: undefined });
      } else followed.set(cluster, { ...kept, next: opened, refused: undefined });
    }
    changed();
  };

  const clusterChanged = (cluster: string): void => {
    const known = followed.get(cluster);
    if (known?.next?.state() === "synced") {
      followed.set(cluster, { ...known, active: known.next, next: undefined });
      known.active?.stop();
    }
    changed();
  };

  const isSettled = () =>
    areSecretsKnown && [...followed.values()].every(({ active }) => active?.state() !== "waiting");

  const changed = (): void => {
    if (isSettled()) settled();
    if (!isStarted) return;
    cancelPublish ??= clock.after(GATHER_MS, () => {
      cancelPublish = undefined;
      publish();
    });
  };

  const remotes = (): readonly RemoteStatus[] =>
    [...followed]
      .sort(([a], [b]) => compareText(a, b))
      .map(([cluster, { secret, active, next, refused }]) => {
        const reason = refused ?? next?.trouble() ?? active?.trouble();
        const state = active?.state();
        const status = state === "synced" || state === "waiting" ? state : "unusable";
        return { cluster, secret, status, ...(reason === undefined ? {} : { reason }) };
      });

  const publish = (): void => {
    const { objects, findings } = source.current();
    const clusters = [...followed].sort(([a], [b]) => compareText(a, b));
    current = Object.freeze({
      objects,
      findings: [...findings, ...denied, ...conflicts, ...remotes().flatMap(findingOf)],
      remotes: clusters.flatMap(([cluster, { active }]) =>
        active?.state() === "synced" ? [{ cluster, objects: active.objects() }] : [],
      ),
    });
    listeners.tell(current);
  };

  const followSecrets = () =>
    startReflector({
      ...{ client, clock, random, timing },
      path: resourcePath({ apiVersion: "v1", resource: "secrets", namespace }),
      query: { labelSelector: REMOTE_SECRET_LABEL },
      sink: {
        ...objectMap(
          (secret) => secret,
          (now) => {
            secrets = now;
            areSecretsKnown = true;
            follow();
          },
        ),
        stateChanged(state) {
          denied = state.status === "forbidden" ? [forbidden(namespace)] : [];
          if ("error" in state) log.warn({ reason: state.error.message }, "Secrets of remote clusters cannot be read");
          if (state.status === "forbidden") areSecretsKnown = true;
          changed();
        },
      },
    });

  return {
    async start() {
      await source.start();
      const complete = new Promise<void>((resolve) => {
        const cancel = clock.after(START_MS, resolve);
        settled = () => {
          cancel();
          resolve();
        };
      });
      stopSecrets = followSecrets();
      await complete;
      publish();
      isStarted = true;
      unsubscribe = source.onChange(() => publish());
    },
    current: () => current,
    onChange: listeners.add,
    remotes,
    async stop() {
      unsubscribe();
      stopSecrets();
      cancelPublish?.();
      for (const { active, next } of followed.values()) {
        active?.stop();
        next?.stop();
      }
      followed.clear();
      await source.stop();
    },
  };
}

function findingOf({ cluster, secret, status, reason }: RemoteStatus): Finding[] {
  if (reason === undefined) return [];
  const [namespace = "", name = ""] = secret.split("/");
  const consequence =
    status === "synced" ? "what was read before stays in use" : "until then its endpoints are not known";
  return [
    {
      severity: "error",
      code: "source-unreadable",
      message: `Secret ${secret}: cluster ${cluster} cannot be followed (${reason}); ${consequence}`,
      object: { kind: "Secret", namespace, name },
      field: `data["${cluster}"]`,
    },
  ];
}

function forbidden(namespace: string): Finding {
  return {
    severity: "error",
    code: "source-unreadable",
    message: `the control plane may not list secrets in ${namespace}: set multiCluster.enabled in the chart, or grant list and watch by a Role; until then the mesh's other clusters are not known`,
  };
}
