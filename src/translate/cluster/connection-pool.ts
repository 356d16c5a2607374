import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type CircuitBreakers, CircuitBreakersSchema } from "../../gen/envoy/config/cluster/v3/circuit_breaker_pb.ts";
import type { ClusterSchema } from "../../gen/envoy/config/cluster/v3/cluster_pb.ts";
import type { ConnectionPoolSettings } from "../../mesh/istio/connection-pool.ts";
import type { MeshConfig } from "../../mesh/mesh-config.ts";
import type { PortPolicy } from "../../mesh/port-policy.ts";
import { durationOfMs, parseDurationMs } from "../typed-config.ts";

/** Envoy's own defaults (1,024 of each) would shed load that nobody asked to shed. */
const UNLIMITED = 4294967295;

/** How many of what a proxy may have open to a cluster at once. */
export function circuitBreakers({ connectionPool, retryBudget }: PortPolicy): CircuitBreakers {
  if (connectionPool === undefined && retryBudget === undefined) return unlimited;
  const { tcp, http } = connectionPool ?? {};
  return create(CircuitBreakersSchema, {
    thresholds: [
      {
        maxConnections: limit(tcp?.maxConnections),
        maxPendingRequests: limit(http?.http1MaxPendingRequests),
        maxRequests: limit(http?.http2MaxRequests),
        maxRetries: limit(http?.maxRetries),
        trackRemaining: true,
        ...(retryBudget === undefined
          ? {}
          : {
              retryBudget: {
                // Envoy's defaults are Istio's.
                budgetPercent: { value: retryBudget.percent ?? 20 },
                minRetryConcurrency: retryBudget.minRetryConcurrency ?? 3,
              },
            }),
      },
    ],
  });
}

/** Zero is what Istio's API has where nothing is said. */
function limit(count: number | undefined): number {
  return count === undefined || count === 0 ? UNLIMITED : count;
}

const unlimited: CircuitBreakers = create(CircuitBreakersSchema, {
  thresholds: [
    {
      maxConnections: UNLIMITED,
      maxPendingRequests: UNLIMITED,
      maxRequests: UNLIMITED,
      maxRetries: UNLIMITED,
      trackRemaining: true,
    },
  ],
});

/** How each connection is made and kept: by the mesh's settings where the policy says nothing. */
export function connectionOptions(
  pool: ConnectionPoolSettings | undefined,
  mesh: Pick<MeshConfig, "connectTimeout" | "tcpKeepalive">,
): Pick<MessageInitShape<typeof ClusterSchema>, "connectTimeout" | "upstreamConnectionOptions"> {
  const { connectTimeout = mesh.connectTimeout, tcpKeepalive = mesh.tcpKeepalive } = pool?.tcp ?? {};
  return {
    connectTimeout: durationOfMs(parseDurationMs(connectTimeout)),
    ...(tcpKeepalive === null
      ? {}
      : {
          upstreamConnectionOptions: {
            tcpKeepalive: {
              ...(tcpKeepalive.probes ? { keepaliveProbes: tcpKeepalive.probes } : {}),
              ...(tcpKeepalive.time === undefined ? {} : { keepaliveTime: seconds(tcpKeepalive.time) }),
              ...(tcpKeepalive.interval === undefined ? {} : { keepaliveInterval: seconds(tcpKeepalive.interval) }),
            },
          },
        }),
  };
}

/** The system counts in whole seconds, and not in none; its longest is 32,767. */
function seconds(duration: string): number {
  return Math.min(Math.max(Math.round(parseDurationMs(duration) / 1000), 1), 32_767);
}
