import type { ClusterJson } from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import type { RouteJson } from "../gen/envoy/config/route/v3/route_components_pb.ts";
import type { HttpFilterJson } from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import type { AppMetrics } from "../injection/pod-contract.ts";
import { type AppAddress, hostAndPort } from "./app-address.ts";
import { loopbackCluster } from "./loopback-cluster.ts";
import { LUA_FILTER, luaFilter } from "./lua-filter.ts";

/**
 * One answer to Prometheus with the metrics of both the proxy and the app, by a filter that asks both. The proxy's are
 * there whatever the app does; where the app's are missing, a comment says why and the last metric is 0.
 */
export function appMetricsFilter(): HttpFilterJson {
  return luaFilter(SCRIPT);
}

/** What the filter should ask the app for is data beside the route: a path never becomes part of a program. */
export function appMetricsRoute(metrics: AppMetrics, app: AppAddress): RouteJson {
  const asked = { path: metrics.path, authority: hostAndPort(app.address, metrics.port) };
  return {
    match: { path: "/stats/prometheus", headers: [{ name: ":method", stringMatch: { exact: "GET" } }] },
    metadata: { filterMetadata: { [LUA_FILTER]: asked } },
    directResponse: { status: 503 },
  };
}

export function appMetricsCluster({ port, scheme }: AppMetrics, app: AppAddress): ClusterJson {
  return loopbackCluster({
    name: "app_metrics",
    ...app,
    port,
    tls: scheme === "https",
    oneRequestPerConnection: true,
  });
}

/**
 * The app is asked for Prometheus' text format alone, since of two formats no one document can be made, and gets four
 * fifths of the time that Prometheus waits, so that an app that hangs costs its own metrics and not the proxy's.
 */
const SCRIPT = `
function envoy_on_request(request)
  local app = request:metadata()
  local path, authority = app:get("path"), app:get("authority")
  if path == nil then return end

  local headers = request:headers()
  local timeout = tonumber(headers:get("x-prometheus-scrape-timeout-seconds") or "") or 10
  timeout = math.min(math.max(timeout, 0.1), 300) * 800
  local query = string.match(headers:get(":path"), "%?(.*)$")
  if query ~= nil then path = path .. (string.find(path, "?", 1, true) and "&" or "?") .. query end
  local asked = {
    [":method"] = "GET", [":path"] = path, [":authority"] = authority, ["accept"] = "text/plain;version=0.0.4",
  }
  for _, name in ipairs({"authorization", "user-agent", "x-prometheus-scrape-timeout-seconds"}) do
    asked[name] = headers:get(name)
  end

  local proxy = {[":method"] = "GET", [":path"] = "/stats/prometheus", [":authority"] = "localhost"}
  local said, stats = request:httpCall("prometheus_stats", proxy, nil, timeout)
  if said[":status"] ~= "200" then
    request:respond({[":status"] = "503"}, "the proxy's metrics cannot be had")
    return
  end

  local answered, body = request:httpCall("app_metrics", asked, nil, timeout)
  local format, coding = answered["content-type"] or "text/plain", answered["content-encoding"] or "identity"
  local missing = nil
  if answered[":status"] ~= "200" then missing = "it answers " .. answered[":status"]
  elseif string.sub(string.lower(format), 1, 10) ~= "text/plain" then missing = "its answer is not text/plain"
  elseif coding ~= "identity" then missing = "its answer is compressed, unasked"
  end
  local parts = {stats or ""}
  if missing == nil then
    parts[#parts + 1] = body or ""
    if body ~= nil and string.sub(body, -1) ~= "\\n" then parts[#parts + 1] = "\\n" end
  else
    parts[#parts + 1] = "# The app's own metrics are missing: " .. missing .. ".\\n"
  end
  parts[#parts + 1] = "# TYPE trysail_app_scrape_success gauge\\n"
  parts[#parts + 1] = "trysail_app_scrape_success " .. (missing == nil and "1" or "0") .. "\\n"
  request:respond({[":status"] = "200", ["content-type"] = "text/plain; version=0.0.4"}, table.concat(parts))
end
`;
