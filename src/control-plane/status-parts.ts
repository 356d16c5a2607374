import type { Registry } from "prom-client";
import type { ServeConfig } from "../config.ts";
import type { KubernetesClient } from "../kubernetes/client.ts";
import type { KubernetesSource } from "../kubernetes/kubernetes-source.ts";
import { createReplicaReports } from "../kubernetes/replica-reports.ts";
import type { Platform } from "../platform/platform.ts";
import { DISTRIBUTIONS } from "../status/distribution-report.ts";
import { createObjectStatuses, type ObjectStatuses, type ObjectStatusesDeps } from "./object-statuses.ts";
import { createStatusMetrics } from "./status-metrics.ts";
import { startStatusWriting } from "./status-writing.ts";

export interface StatusPartsDeps extends Pick<ObjectStatusesDeps, "config" | "progress"> {
  readonly serve: Pick<ServeConfig, "systemNamespace" | "writeStatus">;
  readonly platform: Platform & { readonly registry: Registry };
  /** Both null where folders are served. */
  readonly kubernetes: KubernetesClient | null;
  readonly cluster: Pick<KubernetesSource, "served"> | null;
  /** This replica's name. */
  readonly instance: string;
  readonly revision: string;
}

export interface StatusParts extends ObjectStatuses {
  /** Begins to write them on the objects, which one replica does, and returns the stop; absent where nobody is to. */
  readonly write?: () => () => void;
  stop(): Promise<void>;
}

const ALONE: readonly never[] = [];

/** What became of the mesh's objects, known here and in other replicas. */
export function createStatusParts(deps: StatusPartsDeps): StatusParts {
  const { serve, platform, kubernetes: client, cluster, instance, revision, config, progress } = deps;
  const { clock } = platform;
  if (client === null || cluster === null || !serve.writeStatus) {
    return { ...createObjectStatuses({ clock, config, progress, elsewhere: () => ALONE }), stop: async () => {} };
  }
  const reports = createReplicaReports({
    ...platform,
    ...{ client, instance, revision, namespace: serve.systemNamespace, subject: DISTRIBUTIONS, among: "revision" },
    current: () => statuses.distributions(),
  });
  const statuses = createObjectStatuses({ clock, config, progress, elsewhere: reports.elsewhere });
  const metrics = createStatusMetrics(platform.registry);
  return {
    ...statuses,
    write: () =>
      startStatusWriting({ ...platform, client, statuses, reports, metrics, served: () => cluster.served() }),
    stop: reports.stop,
  };
}
