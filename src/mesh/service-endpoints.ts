import { ipVersion } from "../platform/ip-version.ts";
import type { EndpointSlice, Pod } from "./kubernetes/core.ts";
import type { MeshService } from "./mesh-service.ts";

/** One IP address of a service, whatever port is asked for. */
export interface MeshEndpoint {
  readonly address: string;
  /** By the service's port name. */
  readonly ports: Readonly<Record<string, number>>;
  /** Unready ones are left out, except where the service publishes them; terminating ones still serve. */
  readonly health: "healthy" | "draining";
  readonly labels: Readonly<Record<string, string>>;
  /** `ns/NAMESPACE/sa/ACCOUNT` of the pod behind the address; undefined where no pod is known. */
  readonly identity: string | undefined;
  /** Whether a sidecar behind the address takes mutual TLS (`security.istio.io/tlsMode: istio`). */
  readonly tlsCapable: boolean;
  readonly namespace: string;
  readonly zone: string;
}

export interface ServiceEndpoints {
  readonly endpoints: readonly MeshEndpoint[];
  /** Every identity that may answer for the service, ready or not; sorted. */
  readonly identities: readonly string[];
}

/** The input of `buildServiceEndpoints`: each slice, followed by the pods of its endpoints in order. */
export type SliceAndPods = EndpointSlice | Pod | undefined;

export function buildServiceEndpoints(slicesAndPods: readonly SliceAndPods[], service: MeshService): ServiceEndpoints {
  const endpoints = new Map<string, MeshEndpoint>();
  const identities = new Set<string>();
  let at = 0;
  while (at < slicesAndPods.length) {
    const slice = slicesAndPods[at++];
    if (slice?.kind !== "EndpointSlice") throw new Error("a slice must come before the pods of its endpoints");
    const ports = Object.fromEntries(
      (slice.ports ?? []).flatMap(({ name = "", port }) => (port ? [[name, port]] : [])),
    );
    for (const endpoint of slice.endpoints ?? []) {
      const pod = slicesAndPods[at++];
      if (pod?.kind === "EndpointSlice") throw new Error("an endpoint without its pod");
      const identity = pod && `ns/${pod.metadata.namespace}/sa/${pod.spec.serviceAccountName || "default"}`;
      if (identity !== undefined) identities.add(identity);
      const health = healthOf(endpoint.conditions ?? {}, service.publishNotReadyAddresses);
      if (health === null) continue;
      for (const address of endpoint.addresses.slice(0, 1).filter((text) => ipVersion(text) !== null)) {
        const known = endpoints.get(address);
        endpoints.set(address, {
          address,
          ports: { ...known?.ports, ...ports },
          health,
          labels: pod?.metadata.labels ?? {},
          identity,
          tlsCapable: pod?.metadata.labels["security.istio.io/tlsMode"] === "istio",
          namespace: slice.metadata.namespace,
          zone: endpoint.zone ?? "",
        });
      }
    }
  }
  return {
    endpoints: [...endpoints.values()].sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0)),
    identities: [...identities].sort(),
  };
}

/** https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions: an unknown `ready` is ready. */
function healthOf(
  conditions: { ready?: boolean | null; serving?: boolean | null; terminating?: boolean | null },
  publishNotReady: boolean,
): MeshEndpoint["health"] | null {
  if (conditions.terminating === true) return (conditions.serving ?? false) ? "draining" : null;
  return (conditions.ready ?? true) || publishNotReady ? "healthy" : null;
}
