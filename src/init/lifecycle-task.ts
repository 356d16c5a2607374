import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { type Bootstrap, BootstrapSchema } from "../gen/envoy/config/bootstrap/v3/bootstrap_pb.ts";
import { type Cluster, Cluster_DiscoveryType, ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import { type Address, AddressSchema } from "../gen/envoy/config/core/v3/address_pb.ts";
import type { HealthCheckSchema } from "../gen/envoy/config/core/v3/health_check_pb.ts";
import { type Route, RouteSchema } from "../gen/envoy/config/route/v3/route_components_pb.ts";
import { HTTPFaultSchema } from "../gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts";
import { LuaSchema } from "../gen/envoy/extensions/filters/http/lua/v3/lua_pb.ts";
import {
  type HttpFilter,
  HttpFilterSchema,
} from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import type { LifecycleTask } from "../injection/pod-contract.ts";
import { socketAddress } from "./address.ts";
import { localListener } from "./local-listener.ts";

export interface LifecycleTaskInput {
  readonly task: LifecycleTask;
  /** Tells the hooks of one pod apart. */
  readonly name: string;
  /** The proxy's, on loopback. */
  readonly ports: Readonly<Record<"admin" | "status" | "metrics" | "mergedMetrics", number>>;
}

/**
 * The bootstrap of a second Envoy that carries one task out and then ends itself: a program that can speak HTTP, where
 * an image has nothing but Envoy. A health check begins the task, a filter is its course, a delayed answer its pause. It
 * is run inside the container, so that nobody from outside the pod can make a proxy drain.
 */
export function buildLifecycleTask({ task, name, ports }: LifecycleTaskInput): Bootstrap {
  // Abstract sockets need no file, and there is no folder to write to.
  const own = (part: string) =>
    create(AddressSchema, { address: { case: "pipe", value: { path: `@trysail-${name}-${part}` } } });
  const holdSeconds = task.kind === "drain" ? task.holdSeconds : 0;
  return create(BootstrapSchema, {
    admin: { address: own("admin") },
    staticResources: {
      listeners: [
        localListener("task", own("task"), [anyPath], [lua(task.kind === "wait" ? WAIT : drainCourse(task, ports))]),
        localListener("hold", own("hold"), [anyPath], [answerAfter(BigInt(holdSeconds), 0)]),
        localListener("pause", own("pause"), [anyPath], [answerAfter(0n, 200_000_000)]),
      ],
      clusters: [
        cluster("proxy", socketAddress("127.0.0.1", ports.admin)),
        cluster("status", socketAddress("127.0.0.1", ports.status)),
        ...["hold", "pause"].map((part) => cluster(part, own(part))),
        cluster("self", own("admin")),
        cluster("task", own("task"), begin),
      ],
    },
  });
}

/** Asks once: the answer never comes, since the process ends with the task. */
const begin: MessageInitShape<typeof HealthCheckSchema> = {
  timeout: { seconds: 86_400n },
  interval: { nanos: 50_000_000 },
  noTrafficInterval: { nanos: 50_000_000 },
  healthyThreshold: 1,
  unhealthyThreshold: 1,
  healthChecker: { case: "httpHealthCheck", value: { path: "/" } },
};

/** What the courses have in common. */
const CALL = `
local function call(request, cluster, method, path, timeout)
  local asked = {[":method"] = method, [":path"] = path, [":authority"] = "localhost"}
  local headers, body = request:httpCall(cluster, asked, nil, timeout)
  return headers[":status"], body or ""
end
local function quit(request)
  call(request, "self", "POST", "/quitquitquit", 5000)
end
`;

const WAIT = `${CALL}
function envoy_on_request(request)
  while call(request, "status", "GET", "/healthz/ready", 1000) ~= "200" do
    call(request, "pause", "GET", "/", 5000)
  end
  quit(request)
end
`;

/** The probes' and the metrics' own listeners, and the administration port that is asked here, are never idle. */
function drainCourse(
  { holdSeconds, untilIdle }: LifecycleTask & { kind: "drain" },
  { status, metrics, mergedMetrics }: LifecycleTaskInput["ports"],
): string {
  return `${CALL}
local never = {${[status, metrics, mergedMetrics].map((port) => `["${port}"] = true`).join(", ")}}
local function idle(request)
  local status, stats = call(request, "proxy", "GET", "/stats?usedonly&filter=downstream_cx_active", 5000)
  if status ~= "200" then return true end
  for name, count in string.gmatch(stats, "listener%.(%S+)%.downstream_cx_active: (%d+)") do
    local own = string.find(name, "^admin") or string.find(name, "worker_", 1, true) or never[string.match(name, "(%d+)$")]
    if count ~= "0" and not own then return false end
  end
  return true
end
function envoy_on_request(request)
  call(request, "proxy", "POST", "/drain_listeners?graceful&skip_exit&inboundonly", 5000)
  call(request, "hold", "GET", "/", ${holdSeconds * 1000 + 60_000})
  while ${untilIdle} and not idle(request) do
    for _ = 1, 5 do call(request, "pause", "GET", "/", 5000) end
  end
  quit(request)
end
`;
}

const anyPath: Route = create(RouteSchema, {
  match: { pathSpecifier: { case: "prefix", value: "/" } },
  action: { case: "directResponse", value: { status: 200 } },
});

function lua(source: string): HttpFilter {
  const config = create(LuaSchema, { defaultSourceCode: { specifier: { case: "inlineString", value: source } } });
  return create(HttpFilterSchema, {
    name: "envoy.filters.http.lua",
    configType: { case: "typedConfig", value: anyPack(LuaSchema, config) },
  });
}

function answerAfter(seconds: bigint, nanos: number): HttpFilter {
  const isAtOnce = seconds === 0n && nanos === 0;
  const fixedDelay = { case: "fixedDelay" as const, value: { seconds, nanos } };
  const delay = { faultDelaySecifier: fixedDelay, percentage: { numerator: 100 } };
  const config = create(HTTPFaultSchema, isAtOnce ? {} : { delay });
  return create(HttpFilterSchema, {
    name: "envoy.filters.http.fault",
    configType: { case: "typedConfig", value: anyPack(HTTPFaultSchema, config) },
  });
}

function cluster(name: string, address: Address, healthCheck?: MessageInitShape<typeof HealthCheckSchema>): Cluster {
  return create(ClusterSchema, {
    name,
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.STATIC },
    connectTimeout: { seconds: 1n },
    loadAssignment: {
      clusterName: name,
      endpoints: [{ lbEndpoints: [{ hostIdentifier: { case: "endpoint", value: { address } } }] }],
    },
    ...(healthCheck === undefined ? {} : { healthChecks: [healthCheck] }),
  });
}
