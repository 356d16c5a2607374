import { selectsCallers } from "../mesh/credentials.ts";
import { holdsAt, MESH } from "../mesh/gateway-server.ts";
import { compareSpecificity, hostMatches, resolveHost } from "../mesh/hostname.ts";
import type { DestinationRule } from "../mesh/istio/destination-rule.ts";
import type { EgressListener, Sidecar } from "../mesh/istio/sidecar.ts";
import type { VirtualService } from "../mesh/istio/virtual-service.ts";
import { labelsMatch } from "../mesh/labels.ts";
import type { MeshPort, MeshService } from "../mesh/mesh-service.ts";
import { compareText } from "../mesh/object.ts";
import { destinationHosts } from "../mesh/route-destinations.ts";
import { type EgressHost, parseEgressHost } from "../mesh/sidecar-text.ts";
import type { MeshOutline } from "../mesh/snapshot.ts";
import { createSubsetBudget } from "../mesh/subset-budget.ts";
import { countsGlobally, rateLimitHost } from "../mesh/trysail/rate-limit.ts";
import { exportedTo, exportRank, visibleFrom } from "../mesh/visibility.ts";
import { visibleServices } from "./visible-services.ts";

/** The part of the mesh that callers see: all of what their namespace is shown, or what their Sidecar asks for. */
export interface OutboundScope extends EgressScope {
  readonly namespace: string;
  readonly sidecar: Sidecar | null;
  /** Those that select the caller among others of its namespace. */
  readonly ownRules: readonly DestinationRule[];
  /** Ports that the Sidecar listens on apart from the others, each with what is reached there. */
  readonly ports: readonly PortScope[];
  /** Of every service that can be reached in some way, as destination of a VirtualService too. By host name. */
  readonly reachable: ReadonlyMap<string, ScopedService>;
  /** All that route for some host in sight. */
  readonly virtualServices: readonly VirtualService[];
}

/** What is reached through one listener, or the listeners of every port. */
export interface EgressScope {
  /** In the order of precedence that the snapshot has. */
  readonly services: readonly ScopedService[];
  /** Hosts that VirtualServices route though no service has them on HTTP's own port; wildcards too. In order of specificity. */
  readonly extraHosts: readonly { readonly host: string; readonly virtualService: VirtualService }[];
}

export interface PortScope extends EgressScope {
  readonly listener: EgressListener & Required<Pick<EgressListener, "port">>;
}

export interface ScopedService {
  readonly service: MeshService;
  readonly virtualService: VirtualService | null;
  /** Those that route a host which the service's wildcard covers. */
  readonly narrower: readonly VirtualService[];
  readonly rule: DestinationRule | null;
}

/** The port of a host of which nobody says another. */
export const HTTP_PORT = 80;

export function selectOutboundScope(
  mesh: MeshOutline,
  namespace: string,
  sidecar: Sidecar | null = null,
  ownRules: readonly DestinationRule[] = [],
): OutboundScope {
  const visible = visibleServices(mesh, namespace);
  const rules = visibleRules(mesh, namespace, ownRules);
  const scoped = new Map<MeshService, DestinationRule | null>();
  const withinBudget = createSubsetBudget();
  const ruleOf = (service: MeshService) => {
    let rule = scoped.get(service);
    if (rule === undefined) {
      const found = ruleFor(service.standsFor ?? service, namespace, rules, mesh.config.rootNamespaces);
      rule = found === null ? null : withinBudget(found, service.ports.length);
      scoped.set(service, rule);
    }
    return rule;
  };
  const select = (hosts: readonly string[] | null) => selectEgress(mesh, namespace, visible, ruleOf, hosts);
  const egress = sidecar?.spec.egress ?? [];
  const ports = egress.flatMap((listener) => {
    const { port } = listener;
    return port === undefined ? [] : [{ listener: { ...listener, port }, ...select(listener.hosts) }];
  });
  const wide = egress.find(({ port }) => port === undefined);
  const everywhere = egress.length === 0 ? select(null) : wide === undefined ? NOTHING : select(wide.hosts);
  const scopes = [everywhere, ...ports];
  const reachable = new Map<string, ScopedService>();
  for (const { services } of scopes) for (const known of services) reachable.set(known.service.hostname, known);
  const virtualServices = new Set(scopes.flatMap((scope) => scope.routing.map((route) => route.virtualService)));
  if (sidecar !== null) {
    // Who asks for a host asks for wherever it is routed to as well, and its proxy asks whoever counts its requests.
    const asked = [...askedHosts(virtualServices, sidecar, mesh.config.domain), ...countingHosts(mesh, namespace)];
    for (const hostname of asked) {
      const service = visible.get(hostname);
      if (service === undefined || reachable.has(hostname)) continue;
      reachable.set(hostname, { service, virtualService: null, narrower: [], rule: ruleOf(service) });
    }
  }
  return { ...everywhere, namespace, sidecar, ownRules, ports, reachable, virtualServices: [...virtualServices] };
}

type Routing = readonly { readonly host: string; readonly virtualService: VirtualService }[];
type Selected = EgressScope & { readonly routing: Routing };

const NOTHING: Selected = { services: [], extraHosts: [], routing: [] };

function selectEgress(
  mesh: MeshOutline,
  namespace: string,
  visible: ReadonlyMap<string, MeshService>,
  ruleOf: (service: MeshService) => DestinationRule | null,
  hosts: readonly string[] | null,
): Selected {
  const imports = hosts?.flatMap((text) => parseEgressHost(text, namespace) ?? []) ?? null;
  const routing = claimedHosts(mesh, namespace, imports);
  const services: ScopedService[] = [];
  for (const service of visible.values()) {
    const { standsFor } = service;
    const { namespace, hostname } = standsFor ?? service;
    if (!isImported(namespace, hostname, imports) || isLeftOut(namespace, hostname, imports)) continue;
    const virtualService = routing.find(hostname) ?? null;
    services.push({ service, virtualService, narrower: routing.within(hostname), rule: ruleOf(service) });
  }
  const extraHosts = routing.hosts.filter(({ host }) => !visible.get(host)?.ports.some(takesHttp));
  return { services, extraHosts, routing: routing.hosts };
}

function takesHttp({ number }: MeshPort): boolean {
  return number === HTTP_PORT;
}

/** Whether one of the hosts that a Sidecar asks for covers this one; without a Sidecar, everything is asked for. */
function isImported(namespace: string, host: string, imports: readonly EgressHost[] | null): boolean {
  if (imports === null) return true;
  return imports.some(
    (wanted) =>
      !wanted.isLeftOut &&
      (wanted.namespace === "*" || wanted.namespace === namespace) &&
      (hostMatches(wanted.host, host) || (host.startsWith("*") && hostMatches(host, wanted.host))),
  );
}

/** Of services alone: who routes for such a host still does, as in Istio. */
function isLeftOut(namespace: string, host: string, imports: readonly EgressHost[] | null): boolean {
  if (imports === null) return false;
  return imports.some(
    (one) => one.isLeftOut && (one.namespace === "*" || one.namespace === namespace) && hostMatches(one.host, host),
  );
}

function askedHosts(virtualServices: Iterable<VirtualService>, sidecar: Sidecar, domain: string): string[] {
  const { egressProxy } = sidecar.spec.outboundTrafficPolicy ?? {};
  const own = egressProxy === undefined ? [] : [resolveHost(egressProxy.host, sidecar.metadata.namespace, domain)];
  return [...own, ...[...virtualServices].flatMap((virtualService) => destinationHosts(virtualService, domain))];
}

function countingHosts(mesh: MeshOutline, namespace: string): string[] {
  const { domain } = mesh.config;
  return mesh
    .rateLimitsFor(namespace)
    .filter(countsGlobally)
    .map(({ metadata, spec }) => resolveHost(rateLimitHost(spec, domain).host, metadata.namespace, domain));
}

/** Which VirtualService has which host, for callers inside the mesh: of those exported most narrowly, the oldest. */
function claimedHosts(
  { virtualServices, config }: MeshOutline,
  namespace: string,
  imports: readonly EgressHost[] | null,
) {
  const claims = new Map<string, VirtualService>();
  const byRank: VirtualService[][] = [[], [], []];
  for (const virtualService of virtualServices) {
    const { metadata, spec } = virtualService;
    if (!holdsAt(spec.gateways, MESH, metadata.namespace)) continue;
    const exportTo = exportedTo(spec.exportTo, config.defaultVirtualServiceExportTo);
    if (!routesAnything(virtualService) || !visibleFrom(namespace, metadata.namespace, exportTo)) continue;
    byRank[exportRank(namespace, metadata.namespace, exportTo)]?.push(virtualService);
  }
  for (const virtualService of byRank.flat()) {
    const { metadata, spec } = virtualService;
    for (const host of spec.hosts ?? []) {
      const hostname = resolveHost(host, metadata.namespace, config.domain);
      if (!claims.has(hostname) && isImported(metadata.namespace, hostname, imports))
        claims.set(hostname, virtualService);
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
    within(hostname: string): readonly VirtualService[] {
      if (!hostname.startsWith("*")) return [];
      const covered = hosts.filter(({ host }) => host !== hostname && hostMatches(hostname, host));
      return [...new Set(covered.map(({ virtualService }) => virtualService))];
    },
  };
}

function routesAnything({ spec: { http = [], tls = [], tcp = [] } }: VirtualService): boolean {
  return http.length + tls.length + tcp.length > 0;
}

interface VisibleRule {
  readonly host: string;
  readonly rule: DestinationRule;
}

/** Whole names by name, wildcards in order of specificity; each list those of the caller first, then oldest first. */
interface VisibleRules {
  readonly byHost: ReadonlyMap<string, readonly VisibleRule[]>;
  readonly wildcards: readonly VisibleRule[];
}

function visibleRules(
  { destinationRules, config }: MeshOutline,
  namespace: string,
  ownRules: readonly DestinationRule[],
): VisibleRules {
  const general = destinationRules.filter(({ spec }) => !selectsCallers(spec));
  const rules = [...ownRules, ...general]
    .filter(({ metadata, spec }) =>
      visibleFrom(namespace, metadata.namespace, exportedTo(spec.exportTo, config.defaultDestinationRuleExportTo)),
    )
    .map((rule) => ({ host: resolveHost(rule.spec.host, rule.metadata.namespace, config.domain), rule }));
  return {
    byHost: Map.groupBy(rules, ({ host }) => host),
    wildcards: rules.filter(({ host }) => host.startsWith("*")).sort((a, b) => compareSpecificity(a.host, b.host)),
  };
}

/** The rules of a namespace that are for callers with these labels, and not for all. */
export function rulesSelecting(
  { destinationRules }: Pick<MeshOutline, "destinationRules">,
  namespace: string,
  labels: Readonly<Record<string, string>>,
): readonly DestinationRule[] {
  return destinationRules.filter(
    ({ metadata, spec }) =>
      metadata.namespace === namespace &&
      selectsCallers(spec) &&
      labelsMatch(spec.workloadSelector?.matchLabels, labels),
  );
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
