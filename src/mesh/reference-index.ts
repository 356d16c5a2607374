import { lazily } from "../platform/lazily.ts";
import { type DestinationRuleRivals, indexDestinationRules } from "./destination-rule-rivals.ts";
import type { FindingCode } from "./finding.ts";
import { type GatewayRivals, indexGatewayRivals } from "./gateway-rivals.ts";
import { MESH, resolveGatewayName } from "./gateway-server.ts";
import { indexHosts } from "./host-index.ts";
import { patternsOver, resolveHost } from "./hostname.ts";
import type { DestinationRule } from "./istio/destination-rule.ts";
import type { ServiceEntry } from "./istio/service-entry.ts";
import type { VirtualService } from "./istio/virtual-service.ts";
import type { KnownObject } from "./kinds.ts";
import type { Service } from "./kubernetes/core.ts";
import { labelsMatch } from "./labels.ts";
import type { MeshConfig } from "./mesh-config.ts";
import { olderFirst } from "./object.ts";
import { objectsByKind } from "./objects-by-kind.ts";
import { indexRateLimits, type RateLimitRival, type Said } from "./rate-limit-rivals.ts";
import { RivalGroups } from "./rival-groups.ts";
import { indexServiceEntries, type ServiceEntryIndex } from "./service-entry-index.ts";
import { indexStrictness } from "./strict-workloads.ts";
import type { RateLimit } from "./trysail/rate-limit.ts";
import { type Labels, labelTexts, type Workload, WorkloadIndex } from "./workload-index.ts";

export type Names = Pick<
  MeshConfig,
  "domain" | "rootNamespaces" | "defaultVirtualServiceExportTo" | "defaultDestinationRuleExportTo"
>;
/** Takes what an analysis found of one object, and answers whether there is room for more. */
export type Report = (code: FindingCode, field: string, reason: string) => boolean;

/** What objects define, for those that name it. */
export interface ReferenceIndex {
  readonly config: Names;
  /** The Service of a host, or the ServiceEntry that has it or a wildcard for it. */
  service(host: string, namespace: string): Service | ServiceEntry | undefined;
  hasServiceLike(pattern: string): boolean;
  /** How many ports the services have whose host this is, or whom it covers. */
  portsUnder(hostname: string): number;
  readonly serviceEntries: ServiceEntryIndex;
  /** Others that say the same of a workload that a RateLimit holds at. */
  rateLimitRivals(said: Said, policy: RateLimit): readonly RateLimitRival[];
  /** Whether a subset of the host is defined; undefined where no rule is for the host at all. */
  hasSubset(host: string, namespace: string, subset: string): boolean | undefined;
  hasWorkload(namespace: string, labels: Labels): boolean;
  /** Where there are workloads with such labels. */
  namespacesOf(labels: Labels): readonly string[];
  /** Those behind a Service, or of them those that have further labels. */
  workloadsOf(service: Service, labels?: Labels): readonly Workload[];
  /** The first one behind a Service that takes mutual TLS only, whatever the port. */
  strictWorkloadOf(service: Service): Workload | undefined;
  hasSecret(namespace: string, name: string): boolean;
  virtualService(namespace: string, name: string): VirtualService | undefined;
  /** By `NAMESPACE/NAME`. */
  readonly gateways: ReadonlySet<string>;
  gatewayRivals(): GatewayRivals;
  /** Others with this host, under its full name, at a gateway or in the mesh. */
  virtualServiceRivals(virtualService: VirtualService, place: string, hostname: string): readonly VirtualService[];
  /** `NAMESPACE/NAME` of every VirtualService that another one delegates to. */
  readonly delegates: ReadonlySet<string>;
  destinationRuleRivals(): DestinationRuleRivals;
}

export function buildReferenceIndex(objects: readonly KnownObject[], config: Names): ReferenceIndex {
  const of = objectsByKind(objects);
  const fullName = (host: string, namespace: string) => resolveHost(host, namespace, config.domain);
  const services = new Map<string, Service | ServiceEntry>();
  for (const entry of of.ServiceEntry) {
    for (const host of entry.spec.hosts) services.set(host.toLowerCase(), entry);
  }
  for (const service of of.Service) {
    services.set(fullName(service.metadata.name, service.metadata.namespace), service);
  }
  const hosts = indexHosts(services);
  const subsets = lazily(() => subsetsByHost(of.DestinationRule, fullName));
  const workloads = new WorkloadIndex(workloadsOf(of));
  const isStrict = lazily(() => indexStrictness(of.PeerAuthentication, config.rootNamespaces));
  const virtualServices = new Map(
    of.VirtualService.map((one) => [keyOf(one.metadata.namespace, one.metadata.name), one]),
  );
  const claims = lazily(() => claimedHosts(of.VirtualService.sort(olderFirst), fullName, config));
  const rules = lazily(() => indexDestinationRules(of.DestinationRule.sort(olderFirst), fullName, config));
  const gatewayRivals = lazily(() => indexGatewayRivals(of.Gateway, workloads));
  const secrets = new Set(of.Secret.map(({ metadata }) => keyOf(metadata.namespace, metadata.name)));
  const service = (host: string, namespace: string) => hosts.service(fullName(host, namespace));
  const behind = ({ metadata, spec: { selector = {} } }: Service, labels: Labels = {}) =>
    Object.keys(selector).length === 0 || !labelsMatch(labels, { ...labels, ...selector })
      ? []
      : workloads.selected({ ...labels, ...selector }, metadata.namespace);
  const rateLimits = lazily(() => {
    const targetLabels = (name: string, { metadata }: RateLimit) => {
      const found = service(`${name}.${metadata.namespace}.svc.${config.domain}`, metadata.namespace);
      return (found?.kind === "Service" ? found.spec.selector : undefined) ?? {};
    };
    return indexRateLimits(of.RateLimit, { rootNamespaces: config.rootNamespaces, workloads, targetLabels });
  });
  const strict = new Map<readonly Workload[], Workload | undefined>();
  return {
    config,
    service,
    serviceEntries: indexServiceEntries(of.ServiceEntry),
    rateLimitRivals: (said, policy) => rateLimits()(said, policy),
    hasServiceLike: hosts.covers,
    portsUnder: hosts.portsUnder,
    hasSubset(host, namespace, subset) {
      const name = fullName(host, namespace);
      const found = [...new Set([name, ...patternsOver(name)])].flatMap((pattern) => subsets().get(pattern) ?? []);
      return found.length === 0 ? undefined : found.some((known) => known.has(subset));
    },
    hasWorkload: (namespace, labels) =>
      workloads.selected(labels, config.rootNamespaces.includes(namespace) ? undefined : namespace).length > 0,
    namespacesOf: (labels) => [...new Set(workloads.selected(labels).map(({ namespace }) => namespace))].sort(),
    workloadsOf: behind,
    strictWorkloadOf(of) {
      const found = behind(of);
      if (!strict.has(found)) strict.set(found, found.find(isStrict()));
      return strict.get(found);
    },
    hasSecret: (namespace, name) => secrets.has(keyOf(namespace, name)),
    virtualService: (namespace, name) => virtualServices.get(keyOf(namespace, name)),
    gateways: new Set(of.Gateway.map(({ metadata }) => keyOf(metadata.namespace, metadata.name))),
    gatewayRivals,
    virtualServiceRivals: (one, place, hostname) => claims().rivalsOf(`${place} ${hostname}`, one),
    delegates: new Set(of.VirtualService.flatMap(delegateKeys)),
    destinationRuleRivals: rules,
  };
}

function keyOf(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}

function delegateKeys({ metadata, spec }: VirtualService): string[] {
  return (spec.http ?? []).flatMap(({ delegate }) =>
    delegate === undefined ? [] : [keyOf(delegate.namespace || metadata.namespace, delegate.name ?? "")],
  );
}

type FullName = (host: string, namespace: string) => string;

/** VirtualServices by each place where they have each of their hosts. */
function claimedHosts(
  virtualServices: readonly VirtualService[],
  fullName: FullName,
  { defaultVirtualServiceExportTo }: Names,
): RivalGroups<VirtualService> {
  const claims = new RivalGroups<VirtualService>(defaultVirtualServiceExportTo);
  for (const one of virtualServices) {
    const { metadata, spec } = one;
    const { gateways = [] } = spec;
    const named = gateways.length === 0 ? [MESH] : gateways;
    const places = new Set(named.map((text) => resolveGatewayName(text, metadata.namespace)));
    for (const host of spec.hosts ?? []) {
      const hostname = fullName(host, metadata.namespace);
      for (const place of places) claims.add(`${place} ${hostname}`, one);
    }
  }
  return claims;
}

function subsetsByHost(
  rules: readonly DestinationRule[],
  fullName: FullName,
): ReadonlyMap<string, ReadonlySet<string>> {
  const subsets = new Map<string, Set<string>>();
  for (const { metadata, spec } of rules) {
    const hostname = fullName(spec.host, metadata.namespace);
    const known = subsets.get(hostname) ?? new Set<string>();
    subsets.set(hostname, known);
    for (const { name } of spec.subsets ?? []) known.add(name);
  }
  return subsets;
}

function workloadsOf(of: ReturnType<typeof objectsByKind>): readonly Workload[] {
  return [
    ...of.Pod.map(({ metadata: { namespace, labels } }) => ({ namespace, labels })),
    ...of.WorkloadController.map(({ metadata: { namespace }, spec }) => ({
      namespace,
      labels: spec.template.metadata?.labels ?? {},
    })),
  ];
}

/** `host, which no Service has`, and what was probably meant. */
export function unknownHost(host: string, namespace: string, { config, service }: ReferenceIndex): string {
  const full = resolveHost(host, namespace, config.domain);
  const [name = "", inNamespace, svc] = host.split(".");
  if (inNamespace !== undefined && (svc === undefined || svc === "svc") && service(name, inNamespace) !== undefined) {
    return `${host}, which is taken as a full host name: write ${resolveHost(name, inNamespace, config.domain)}`;
  }
  const shown = full === host ? host : `${host} (${full})`;
  return `${shown}, but there is no such Service: correct the name, or add the Service`;
}

export function showLabels(labels: Labels): string {
  return labelTexts(labels).join(", ");
}
