import type { SourceConfig } from "../config.ts";
import type { Clock } from "../platform/clock.ts";
import { TrysailError } from "../platform/errors.ts";
import type { Logger } from "../platform/log.ts";
import { createKubernetesClient, type KubernetesClient } from "./client.ts";
import type { KubernetesConnection } from "./connection.ts";
import { createInClusterConnection } from "./in-cluster.ts";
import { openKubeconfig } from "./kubeconfig.ts";
import type { RequestMetrics } from "./transport.ts";

export interface ConnectDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics?: RequestMetrics;
}

const RETRY_MS = 1000;
/** One that has just started refuses everybody until it has read its roles; the version is for everybody. */
const REFUSALS_OF_A_START = 10;

/**
 * A client of the cluster that is served; null where folders are. Resolves once the API server answers, however long
 * that takes: a control plane that ended would only be started again. Rejects where a kubeconfig cannot be used.
 */
export async function connectKubernetes(config: SourceConfig, deps: ConnectDeps): Promise<KubernetesClient | null> {
  if (config.kind === "folders") return null;
  const { clock, metrics } = deps;
  const client = createKubernetesClient({ connection: await connectionOf(config, clock), clock, metrics });
  await answering(client, deps);
  return client;
}

/** Rejects where a kubeconfig cannot be used. */
export async function connectionOf(
  config: Exclude<SourceConfig, { kind: "folders" }>,
  clock: Clock,
): Promise<KubernetesConnection> {
  if (config.kind === "kubeconfig") return openKubeconfig(config.path, clock);
  return createInClusterConnection({ host: config.host, port: config.port, clock });
}

async function answering(client: KubernetesClient, { log }: Pick<ConnectDeps, "log">): Promise<void> {
  let told = "";
  for (let refusals = 0; ; ) {
    try {
      await client.getDocument("/version");
      return;
    } catch (error) {
      if (!(error instanceof TrysailError)) throw error;
      const isAway = error.code === "unavailable" || error.code === "resource-exhausted";
      const mayHaveStarted = error.code === "permission-denied" && refusals++ < REFUSALS_OF_A_START;
      // Any other refusal is an answer: what is refused later says so itself.
      if (!isAway && !mayHaveStarted) return;
      if (error.message !== told) log.warn({ reason: error.message }, "waiting for Kubernetes' API server");
      told = error.message;
    }
    // Not the clock's: its timers let the process end, and nothing else runs yet.
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}
