import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { Option } from "commander";
import type { SourceConfig } from "../config.ts";
import { createKubernetesClient, type KubernetesClient } from "../kubernetes/client.ts";
import { connectionOf } from "../kubernetes/connect.ts";
import { systemClock as clock } from "../platform/clock.ts";
import { TrysailError } from "../platform/errors.ts";

type ClusterSource = Exclude<SourceConfig, { kind: "folders" }>;

export interface ClusterFlags {
  readonly kubeconfig?: string;
}

export function kubeconfigOption(): Option {
  return new Option("--kubeconfig <file>", "the cluster; by default KUBECONFIG, the pod's own, or ~/.kube/config");
}

/**
 * Runs a command against a cluster and closes its connections. Rejects with `invalid-argument` where none is named and
 * none is found.
 */
export async function withCluster<T>(
  { kubeconfig }: ClusterFlags,
  use: (client: KubernetesClient, source: ClusterSource) => Promise<T>,
): Promise<T> {
  const source = clusterOf(kubeconfig, process.env);
  const client = createKubernetesClient({ connection: await connectionOf(source, clock), clock });
  try {
    return await use(client, source);
  } finally {
    client.close();
  }
}

/** As kubectl looks for it; of several files in KUBECONFIG the first that exists. */
function clusterOf(flag: string | undefined, environment: NodeJS.ProcessEnv): ClusterSource {
  if (flag !== undefined) return { kind: "kubeconfig", path: flag };
  const listed = (environment.KUBECONFIG ?? "").split(delimiter).filter((path) => path !== "");
  const [named] = [...listed.filter(existsSync), ...listed];
  if (named !== undefined) return { kind: "kubeconfig", path: named };
  const { KUBERNETES_SERVICE_HOST: host = "", KUBERNETES_SERVICE_PORT: port = "443" } = environment;
  if (host !== "") return { kind: "in-cluster", host, port };
  const usual = join(homedir(), ".kube", "config");
  if (existsSync(usual)) return { kind: "kubeconfig", path: usual };
  throw new TrysailError("invalid-argument", "no cluster is known: name one by --kubeconfig or KUBECONFIG");
}
