import type { BootstrapJson } from "../gen/envoy/config/bootstrap/v3/bootstrap_pb.ts";
import type { ClusterJson } from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import type { AddressJson } from "../gen/envoy/config/core/v3/address_pb.ts";
import type { HealthCheckJson } from "../gen/envoy/config/core/v3/health_check_pb.ts";
import type { RouteJson } from "../gen/envoy/config/route/v3/route_components_pb.ts";
import type { HTTPFaultSchema } from "../gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts";
import type { HttpFilterJson } from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { drainPath, type LifecycleTask } from "../injection/pod-contract.ts";
import { socketAddress } from "./address.ts";
import { localListener } from "./local-listener.ts";
import { luaFilter } from "./lua-filter.ts";
import { packed } from "./packed.ts";

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
export function buildLifecycleTask({ task, name, ports }: LifecycleTaskInput): BootstrapJson {
  // Abstract sockets need no file, and there is no folder to write to.
  const own = (part: string): AddressJson => ({ pipe: { path: `@trysail-${name}-${part}` } });
  const holdSeconds = task.kind === "drain" ? task.holdSeconds : 0;
  return {
    admin: { address: own("admin") },
    staticResources: {
      listeners: [
        localListener(
          "task",
          own("task"),
          [anyPath],
          [luaFilter(task.kind === "wait" ? WAIT : drainCourse(task, ports))],
        ),
        localListener("hold", own("hold"), [anyPath], [answerAfter(holdSeconds)]),
        localListener("pause", own("pause"), [anyPath], [answerAfter(0.2)]),
      ],
      clusters: [
        cluster("proxy", socketAddress("127.0.0.1", ports.admin)),
        cluster("status", socketAddress("127.0.0.1", ports.status)),
        ...["hold", "pause"].map((part) => cluster(part, own(part))),
        cluster("self", own("admin")),
        cluster("task", own("task"), begin),
      ],
    },
  };
}

/** Asks once: the answer never comes, since the process ends with the task. */
const begin: HealthCheckJson = {
  timeout: "86400s",
  interval: "0.05s",
  noTrafficInterval: "0.05s",
  healthyThreshold: 1,
  unhealthyThreshold: 1,
  httpHealthCheck: { path: "/" },
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
  { holdSeconds, untilIdle, isGateway = false }: LifecycleTask & { kind: "drain" },
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
  call(request, "proxy", "POST", "${drainPath({ isGateway })}", 5000)
  call(request, "hold", "GET", "/", ${holdSeconds * 1000 + 60_000})
  while ${untilIdle} and not idle(request) do
    for _ = 1, 5 do call(request, "pause", "GET", "/", 5000) end
  end
  quit(request)
end
`;
}

const anyPath: RouteJson = { match: { prefix: "/" }, directResponse: { status: 200 } };

function answerAfter(seconds: number): HttpFilterJson {
  const delay = { fixedDelay: `${seconds}s`, percentage: { numerator: 100 } };
  const typedConfig = packed<typeof HTTPFaultSchema>(
    "envoy.extensions.filters.http.fault.v3.HTTPFault",
    seconds === 0 ? {} : { delay },
  );
  return { name: "envoy.filters.http.fault", typedConfig };
}

function cluster(name: string, address: AddressJson, healthCheck?: HealthCheckJson): ClusterJson {
  return {
    name,
    type: "STATIC",
    connectTimeout: "1s",
    loadAssignment: { clusterName: name, endpoints: [{ lbEndpoints: [{ endpoint: { address } }] }] },
    ...(healthCheck === undefined ? {} : { healthChecks: [healthCheck] }),
  };
}
