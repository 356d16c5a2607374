import { append } from "../platform/append.ts";
import { checkDestinations } from "./check-destinations.ts";
import { checkDurations } from "./check-durations.ts";
import { checkExportTo } from "./check-export-to.ts";
import { checkGatewayNames } from "./check-gateway-names.ts";
import { checkHosts } from "./check-hosts.ts";
import { checkHttpRoute } from "./check-http-route.ts";
import { checkL4Routes } from "./check-l4-routes.ts";
import { checkRouteRegexes } from "./check-regexes.ts";
import { checkRouteOrder } from "./check-route-order.ts";
import type { VirtualService } from "./istio/virtual-service.ts";
import { error, type Problem } from "./problem.ts";
import { asksForTooMuch, countRoutes, MOST_ROUTES } from "./route-budget.ts";

/** What is wrong inside one VirtualService of valid shape, Istio's own rules among it. */
export function checkVirtualService({ metadata, spec }: VirtualService): Problem[] {
  const { hosts = [], http = [], tls = [], tcp = [] } = spec;
  if (asksForTooMuch(spec)) {
    const reason = `are ${hosts.length}, and have ${countRoutes(http)} routes each: ${MOST_ROUTES} in all is the most, so use wildcards, fewer matches, or several objects`;
    return [error("spec.hosts", reason)];
  }
  const problems = hosts.length === 0 ? checkDelegate(spec) : checkOwnHosts(hosts, spec.gateways ?? []);
  if (http.length + tls.length + tcp.length === 0) {
    problems.push(error("spec", "has no routes: give it http, tls or tcp"));
  }
  append(problems, checkGatewayNames(spec.gateways, "spec.gateways"));
  append(problems, checkExportTo(spec.exportTo, metadata.namespace));
  append(problems, checkDestinations(spec));
  append(problems, checkRouteRegexes(http, "spec.http"));
  for (const [index, route] of http.entries()) append(problems, checkHttpRoute(route, `spec.http[${index}]`));
  append(problems, checkRouteOrder(http, "spec.http"));
  append(problems, checkL4Routes({ hosts, tls, tcp }));
  return [...problems, ...checkDurations(spec, "spec")];
}

function checkOwnHosts(hosts: readonly string[], gateways: readonly string[]): Problem[] {
  const problems = checkHosts(hosts, "spec.hosts");
  if (hosts.includes("*") && (gateways.length === 0 || gateways.includes("mesh"))) {
    problems.push(error("spec.hosts", "has *, which would take over every service for sidecars: name the hosts"));
  }
  return problems;
}

/** One without hosts is there for others to delegate to; it cannot say where its routes hold. */
function checkDelegate({ gateways = [], http = [], tls = [], tcp = [] }: VirtualService["spec"]): Problem[] {
  const why = "has no effect without spec.hosts, as such a VirtualService only stands in for others: remove it";
  const problems = Object.entries({ gateways, tls, tcp })
    .filter(([, list]) => list.length > 0)
    .map(([field]) => error(`spec.${field}`, why));
  for (const [index, { delegate }] of http.entries()) {
    if (delegate === undefined) continue;
    const reason = "is in a VirtualService without hosts: one that is delegated to cannot delegate itself";
    problems.push(error(`spec.http[${index}].delegate`, reason));
  }
  return problems;
}
