import { type Duplex, duplexPair } from "node:stream";
import type { SourceConfig } from "../config.ts";
import { messageOf, TrysailError } from "../platform/errors.ts";

export interface PodPortAddress {
  readonly namespace: string;
  readonly pod: string;
  readonly port: number;
}

/**
 * A connection to a port of a pod through the API server, as `kubectl port-forward` makes it; needs `create` on
 * `pods/portforward`. Rejects with `unavailable`.
 * https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/
 */
export async function openPodPort(
  source: Exclude<SourceConfig, { kind: "folders" }>,
  { namespace, pod, port }: PodPortAddress,
): Promise<Duplex> {
  // Loaded for those who need it: it takes half a second and 85 MB.
  const { KubeConfig, PortForward } = await import("@kubernetes/client-node");
  const config = new KubeConfig();
  if (source.kind === "kubeconfig") config.loadFromFile(source.path);
  else config.loadFromCluster();
  const [ours, theirs] = duplexPair();
  try {
    const socket = await new PortForward(config).portForward(namespace, pod, [port], theirs, null, theirs);
    const close = () => (typeof socket === "function" ? socket() : socket)?.close();
    ours.once("close", close);
  } catch (cause) {
    const message = `port ${port} of pod ${namespace}/${pod} cannot be reached through the API server: ${messageOf(cause)}`;
    throw new TrysailError("unavailable", message, { cause });
  }
  return ours;
}
