import { compareSpecificity, hostMatches, resolveHost } from "../mesh/hostname.ts";
import type { DestinationRule } from "../mesh/istio/destination-rule.ts";
import type { VirtualService } from "../mesh/istio/virtual-service.ts";
import type { MeshService } from "../mesh/mesh-service.ts";
import { compareText } from "../mesh/object.ts";
import type { MeshSnapshot } from "../mesh/snapshot.ts";
import { visibleFrom } from "../mesh/visibility.ts";

/** The part of the mesh that callers in one namespace see. */
export interface OutboundScope {
  readonly namespace: string;
  /** In host name order. */
  readonly services: readonly ScopedService[];
  /** Hosts that VirtualServices route though no service has them; wildcards too. In order of specificity. */
  readonly extraHosts: readonly { readonly host: string; readonly virtualService: VirtualService }[];
  /** All that route for some host in sight. */
  readonly virtualServices: readonly VirtualService[];
}

export interface ScopedService {
  readonly service: MeshService;
  readonly virtualService: VirtualService | null;
  readonly rule: DestinationRule | null;
}

export function selectOutboundScope(mesh: MeshSnapshot, namespace: string): OutboundScope {
  const routing = claimedHosts(mesh, namespace);
  const rules = visibleRules(mesh, namespace);
  const services: ScopedService[] = [];
  for (const service of mesh.services.values()) {
    if (!visibleFrom(namespace, service.namespace, service.exportTo)) continue;
    const virtualService = routing.find(service.hostname) ?? null;
    services.push({ service, virtualService, rule: ruleFor(service, namespace, rules, mesh.config.rootNamespaces) });
  }
  services.sort((a, b) => compareText(a.service.hostname, b.service.hostname));
  const extraHosts = routing.hosts.filter(({ host }) => !mesh.services.has(host));
  const virtualServices = [...new Set(routing.hosts.map(({ virtualService }) => virtualService))];
  return { namespace, services, extraHosts, virtualServices };
}

/** Which VirtualService has which host, for callers inside the mesh: the oldest one that names it. */
function claimedHosts({ virtualServices, config }: MeshSnapshot, namespace: string) {
  const claims = new Map<string, VirtualService>();
  for (const virtualService of virtualServices) {
    const { metadata, spec } = virtualService;
    if (!isForMesh(spec.gateways)) continue;
    if ((spec.http ?? []).length === 0 || !visibleFrom(namespace, metadata.namespace, spec.exportTo)) continue;
    for (const host of spec.hosts) {
      const hostname = resolveHost(host, metadata.namespace, config.domain);
      if (!claims.has(hostname)) claims.set(hostname, virtualService);
    }
  }
  const hosts = [...claims]
    .map(([host, virtualService]) => ({ host, virtualService }))
    .sort((a, b) => compareSpecificity(a.host, b.host) || compareText(a.host, b.host));
  const wildcards = hosts.filter(({ host }) => host.startsWith("*"));
  return {
    hosts,
    find: (hostname: string) =>
      claims.get(hostname) ?? wildcards.find(({ host }) => hostMatches(host, hostname))?.virtualService,
  };
}

/** Whether a list of gateways, which may be left out, has the sidecars among them. */
export function isForMesh(gateways: readonly string[] = []): boolean {
  return gateways.length === 0 || gateways.includes("mesh");
}

interface VisibleRule {
  readonly host: string;
  readonly rule: DestinationRule;
}

/** Whole names by name, wildcards in order of specificity; each list oldest first. */
interface VisibleRules {
  readonly byHost: ReadonlyMap<string, readonly VisibleRule[]>;
  readonly wildcards: readonly VisibleRule[];
}

function visibleRules({ destinationRules, config }: MeshSnapshot, namespace: string): VisibleRules {
  const rules = destinationRules
    .filter(({ metadata, spec }) => visibleFrom(namespace, metadata.namespace, spec.exportTo))
    .map((rule) => ({ host: resolveHost(rule.spec.host, rule.metadata.namespace, config.domain), rule }));
  return {
    byHost: Map.groupBy(rules, ({ host }) => host),
    wildcards: rules.filter(({ host }) => host.startsWith("*")).sort((a, b) => compareSpecificity(a.host, b.host)),
  };
}

/**
 * The caller's namespace is looked up first, then the service's, then the root namespaces, and in each the most
 * specific host (https://istio.io/latest/docs/concepts/traffic-management/#destination-rules).
 */
function ruleFor(
  service: MeshService,
  namespace: string,
  { byHost, wildcards }: VisibleRules,
  rootNamespaces: readonly string[],
): DestinationRule | null {
  const exact = byHost.get(service.hostname) ?? [];
  if (exact.length === 0 && wildcards.length === 0) return null;
  const candidates = [...exact, ...wildcards.filter(({ host }) => hostMatches(host, service.hostname))];
  for (const place of [namespace, service.namespace, ...rootNamespaces]) {
    const found = candidates.find(({ rule }) => rule.metadata.namespace === place);
    if (found !== undefined) return found.rule;
  }
  return null;
}
