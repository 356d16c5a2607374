import type { JsonObject } from "@bufbuild/protobuf";

/** The proxy at the other end of a stream, as its node message describes it and its credentials confirm. */
export interface ProxyNode {
  /** `sidecar~10.1.2.3~reviews-v1-abc.bookstore~bookstore.svc.cluster.local`, as Istio writes it. */
  readonly id: string;
  readonly type: "sidecar" | "router" | "waypoint";
  readonly ipAddress: string;
  readonly name: string;
  readonly namespace: string;
  /** Envoy's node metadata with Istio's keys (LABELS, SERVICE_ACCOUNT, CLUSTER_ID, …). */
  readonly metadata: JsonObject;
  /** `metadata.LABELS`, strings only. */
  readonly labels: Readonly<Record<string, string>>;
  /** Envoy's locality, for later use. */
  readonly locality?: { readonly region: string; readonly zone: string; readonly subZone: string };
}
