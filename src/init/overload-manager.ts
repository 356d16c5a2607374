import type { OverloadManagerJson } from "../gen/envoy/config/overload/v3/overload_pb.ts";
import type { DownstreamConnectionsConfigSchema } from "../gen/envoy/extensions/resource_monitors/downstream_connections/v3/downstream_connections_pb.ts";
import type { FixedHeapConfigSchema } from "../gen/envoy/extensions/resource_monitors/fixed_heap/v3/fixed_heap_pb.ts";
import { packed } from "./packed.ts";

const HEAP = "envoy.resource_monitors.fixed_heap";

/**
 * What the proxy does before its container's memory is used up, where that has a limit: it gives back what it can, then
 * answers requests with 503 instead of being killed with all of them. Connections have no limit of their own, as the
 * proxy stands in front of a workload that has.
 */
export function overloadManager(memoryLimitBytes?: number): OverloadManagerJson {
  const connections = {
    name: "envoy.resource_monitors.global_downstream_max_connections",
    typedConfig: packed<typeof DownstreamConnectionsConfigSchema>(
      "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
      { maxActiveDownstreamConnections: String(2 ** 31 - 1) },
    ),
  };
  if (memoryLimitBytes === undefined) return { resourceMonitors: [connections] };
  const heap = {
    name: HEAP,
    typedConfig: packed<typeof FixedHeapConfigSchema>(
      "envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
      { maxHeapSizeBytes: String(memoryLimitBytes) },
    ),
  };
  return {
    refreshInterval: "0.25s",
    resourceMonitors: [connections, heap],
    actions: [
      above("envoy.overload_actions.shrink_heap", 0.9),
      above("envoy.overload_actions.stop_accepting_requests", 0.95),
    ],
  };
}

function above(name: string, value: number) {
  return { name, triggers: [{ name: HEAP, threshold: { value } }] };
}
