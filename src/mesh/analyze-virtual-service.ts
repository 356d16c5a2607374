import { describeObject } from "./finding.ts";
import { MESH, resolveGatewayName } from "./gateway-server.ts";
import { resolveHost } from "./hostname.ts";
import type { Destination } from "./istio/fields.ts";
import type { HttpRoute } from "./istio/http-route.ts";
import type { VirtualService } from "./istio/virtual-service.ts";
import { mergeMatches } from "./merge-matches.ts";
import { refOf } from "./object.ts";
import { type ReferenceIndex, type Report, unknownHost } from "./reference-index.ts";
import { describePrecedence, describeRival } from "./rival.ts";
import { countRoutes, MOST_ROUTES, roomForRoutes } from "./route-budget.ts";
import { routeDestinations } from "./route-destinations.ts";
import { exportedTo, visibleFrom } from "./visibility.ts";

/** What is wrong between a VirtualService and the rest of the mesh. */
export function analyzeVirtualService(virtualService: VirtualService, index: ReferenceIndex, report: Report): void {
  const { metadata, spec } = virtualService;
  for (const { destination, path } of routeDestinations(spec)) {
    analyzeDestination(destination, metadata.namespace, index, path, report);
  }
  const delegateOf = ({ delegate }: HttpRoute) => {
    const found = index.virtualService(delegate?.namespace || metadata.namespace, delegate?.name ?? "");
    return found?.spec.hosts?.length ? undefined : found;
  };
  const hasRoom = roomForRoutes(virtualService, delegateOf);
  for (const [at, route] of (spec.http ?? []).entries()) {
    if (route.delegate === undefined) continue;
    const path = `spec.http[${at}]`;
    if (hasRoom[at]) analyzeDelegation(route, virtualService, index, path, report);
    else {
      const reason = `asks for more than the ${MOST_ROUTES} routes that a VirtualService may have, counted for each host: no request takes this route`;
      report("value-invalid", `${path}.delegate`, reason);
    }
  }
  analyzeRoom(virtualService, index, report);
  analyzeGateways(spec.gateways ?? [], metadata.namespace, index, report);
  if ((spec.hosts ?? []).length > 0) analyzeHosts(virtualService, index, report);
  else if (!index.delegates.has(`${metadata.namespace}/${metadata.name}`)) {
    const reason = "is empty, and no other VirtualService delegates to this one: give it hosts, or delegate to it";
    report("reference-missing", "spec.hosts", reason);
  }
}

/** Whether there is room for its routes at every port of the services that its hosts cover. */
function analyzeRoom({ metadata, spec }: VirtualService, index: ReferenceIndex, report: Report): void {
  const { hosts = [], gateways = [MESH], http, tls, tcp } = spec;
  if (!gateways.includes(MESH)) return;
  const routes = countRoutes(http) + countRoutes(tls) + countRoutes(tcp);
  let ports = 0;
  for (const [at, host] of hosts.entries()) {
    ports += index.portsUnder(resolveHost(host, metadata.namespace, index.config.domain));
    if (ports * routes <= MOST_ROUTES) continue;
    const reason = `is ${host}: with the hosts before it, it covers services of ${ports} ports, and ${routes} routes for each are more than the ${MOST_ROUTES} that a VirtualService may have; sidecars use it for as many ports as there is room for, so write fewer routes, or narrower hosts`;
    report("value-invalid", `spec.hosts[${at}]`, reason);
    return;
  }
}

function analyzeGateways(gateways: readonly string[], namespace: string, index: ReferenceIndex, report: Report): void {
  for (const [at, text] of gateways.entries()) {
    const name = resolveGatewayName(text, namespace);
    if (name === MESH || index.gateways.has(name)) continue;
    const reason = `names Gateway ${name}, but there is none: nothing is routed there, so create it, or correct the name`;
    report("reference-missing", `spec.gateways[${at}]`, reason);
  }
}

function analyzeDestination(
  { host, subset = "", port }: Destination,
  namespace: string,
  index: ReferenceIndex,
  path: string,
  report: Report,
): void {
  const service = index.service(host, namespace);
  if (service === undefined) {
    report("reference-missing", `${path}.host`, `names ${unknownHost(host, namespace, index)}`);
    return;
  }
  const numbers =
    service.kind === "Service"
      ? (service.spec.ports ?? []).map((known) => known.port)
      : (service.spec.ports ?? []).map((known) => known.number);
  if (port !== undefined && !numbers.includes(port.number)) {
    const known = numbers.length === 0 ? "has no ports" : `has only ${numbers.join(", ")}`;
    const reason = `is ${port.number}, but ${describeObject(refOf(service))} ${known}`;
    report("reference-missing", `${path}.port.number`, reason);
  }
  if (subset === "" || index.hasSubset(host, namespace, subset) === true) return;
  const reason = `names subset ${subset}, but no DestinationRule for ${host} defines it: requests sent there fail, so add it to spec.subsets of one`;
  report("reference-missing", `${path}.subset`, reason);
}

function analyzeDelegation(
  { delegate, match = [] }: HttpRoute,
  { metadata }: VirtualService,
  index: ReferenceIndex,
  path: string,
  report: Report,
): void {
  const [namespace, name] = [delegate?.namespace || metadata.namespace, delegate?.name ?? ""];
  const byDefault = index.config.defaultVirtualServiceExportTo;
  const found = index.virtualService(namespace, name);
  const who = `VirtualService ${namespace}/${name}`;
  if (found === undefined) {
    report("reference-missing", `${path}.delegate`, `names ${who}, but there is none: no request takes this route`);
    return;
  }
  if ((found.spec.hosts ?? []).length > 0) {
    const reason = `names ${who}, which has hosts of its own: only one without spec.hosts can be delegated to, so no request takes this route`;
    report("value-invalid", `${path}.delegate`, reason);
    return;
  }
  if (!visibleFrom(metadata.namespace, namespace, exportedTo(found.spec.exportTo, byDefault))) {
    const reason = `names ${who}, which is not exported to namespace ${metadata.namespace}: no request takes this route`;
    report("reference-missing", `${path}.delegate`, reason);
    return;
  }
  for (const [at, inner] of (found.spec.http ?? []).entries()) {
    if (mergeMatches(match, inner.match ?? []) !== null) continue;
    const reason = `rules out a condition of spec.http[${at}] of ${who}: that route has no effect here`;
    report("value-invalid", `${path}.match`, reason);
  }
}

/** In the mesh a host has one VirtualService for each caller; a gateway takes all of a host together. Both are told. */
function analyzeHosts(virtualService: VirtualService, index: ReferenceIndex, report: Report): void {
  const { metadata, spec } = virtualService;
  const byDefault = index.config.defaultVirtualServiceExportTo;
  const places = new Set((spec.gateways ?? [MESH]).map((text) => resolveGatewayName(text, metadata.namespace)));
  for (const [at, host] of (spec.hosts ?? []).entries()) {
    const hostname = resolveHost(host, metadata.namespace, index.config.domain);
    for (const place of places) {
      for (const rival of index.virtualServiceRivals(virtualService, place, hostname)) {
        const effect =
          place === MESH
            ? describePrecedence(virtualService, rival, byDefault)
            : `${describeRival(virtualService, rival)}: Gateway ${place} takes the routes of both, the older's first`;
        if (!report("object-conflict", `spec.hosts[${at}]`, `is ${host}, a host of ${effect}`)) return;
      }
    }
  }
}
