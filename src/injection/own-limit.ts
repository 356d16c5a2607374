import type { PodManifest } from "./pod.ts";
import { CONTAINER_NAME } from "./pod-contract.ts";

/** What the pod's own container `istio-proxy` limits the sidecar to, which is merged over what the template says. */
export function ownLimit(pod: PodManifest, resource: "cpu" | "memory"): string | undefined {
  const containers = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])];
  const own = containers.find(({ name }) => name === CONTAINER_NAME.proxy);
  const limit = own?.resources?.limits?.[resource];
  return limit === undefined ? undefined : String(limit);
}
