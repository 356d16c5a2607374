import { create, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import type { OverloadManagerSchema } from "../gen/envoy/config/overload/v3/overload_pb.ts";
import { DownstreamConnectionsConfigSchema } from "../gen/envoy/extensions/resource_monitors/downstream_connections/v3/downstream_connections_pb.ts";
import { FixedHeapConfigSchema } from "../gen/envoy/extensions/resource_monitors/fixed_heap/v3/fixed_heap_pb.ts";

const HEAP = "envoy.resource_monitors.fixed_heap";

/**
 * What the proxy does before its container's memory is used up, where that has a limit: it gives back what it can, then
 * answers requests with 503 instead of being killed with all of them. Connections have no limit of their own, as the
 * proxy stands in front of a workload that has.
 */
export function overloadManager(memoryLimitBytes?: number): MessageInitShape<typeof OverloadManagerSchema> {
  const connections = create(DownstreamConnectionsConfigSchema, { maxActiveDownstreamConnections: 2n ** 31n - 1n });
  const monitors = [
    monitor(
      "envoy.resource_monitors.global_downstream_max_connections",
      DownstreamConnectionsConfigSchema,
      connections,
    ),
  ];
  if (memoryLimitBytes === undefined) return { resourceMonitors: monitors };
  const heap = create(FixedHeapConfigSchema, { maxHeapSizeBytes: BigInt(memoryLimitBytes) });
  return {
    refreshInterval: { nanos: 250_000_000 },
    resourceMonitors: [...monitors, monitor(HEAP, FixedHeapConfigSchema, heap)],
    actions: [
      above("envoy.overload_actions.shrink_heap", 0.9),
      above("envoy.overload_actions.stop_accepting_requests", 0.95),
    ],
  };
}

function monitor<T extends DescMessage>(name: string, schema: T, config: Parameters<typeof anyPack<T>>[1]) {
  return { name, configType: { case: "typedConfig" as const, value: anyPack(schema, config) } };
}

function above(name: string, value: number) {
  return { name, triggers: [{ name: HEAP, triggerOneof: { case: "threshold" as const, value: { value } } }] };
}
