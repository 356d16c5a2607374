import { lazily } from "../platform/lazily.ts";
import type { FindingCode } from "./finding.ts";
import { type GatewayServers, indexGatewayServers } from "./gateway-servers.ts";
import { hostMatches, resolveHost } from "./hostname.ts";
import type { DestinationRule } from "./istio/destination-rule.ts";
import type { ServiceEntry } from "./istio/service-entry.ts";
import type { VirtualService } from "./istio/virtual-service.ts";
import type { KnownObject } from "./kinds.ts";
import type { Service } from "./kubernetes/core.ts";
import { labelsMatch } from "./labels.ts";
import type { MeshConfig } from "./mesh-config.ts";
import { olderFirst } from "./object.ts";
import { objectsByKind } from "./objects-by-kind.ts";
import { buildMutualTlsModes } from "./peer-authentication-mode.ts";
import { indexServiceEntries, type ServiceEntryIndex } from "./service-entry-index.ts";
import type { RateLimit } from "./trysail/rate-limit.ts";

export type Names = Pick<
  MeshConfig,
  "domain" | "rootNamespaces" | "defaultVirtualServiceExportTo" | "defaultDestinationRuleExportTo"
>;
export type Labels = Readonly<Record<string, string>>;

/** Takes what an analysis found of one object. */
export type Report = (code: FindingCode, field: string, reason: string) => void;

/** What objects define, for those that name it. */
export interface ReferenceIndex {
  readonly config: Names;
  /** The Service of a host, or the ServiceEntry that has it or a wildcard for it. */
  service(host: string, namespace: string): Service | ServiceEntry | undefined;
  hasServiceLike(pattern: string): boolean;
  /** How many ports the services have whose host this is, or whom it covers. */
  portsUnder(hostname: string): number;
  readonly serviceEntries: ServiceEntryIndex;
  readonly rateLimits: readonly RateLimit[];
  /** Whether a subset of the host is defined; undefined where no rule is for the host at all. */
  hasSubset(host: string, namespace: string, subset: string): boolean | undefined;
  hasWorkload(namespace: string, labels: Labels): boolean;
  /** Where there are workloads with such labels. */
  namespacesOf(isWanted: (labels: Labels) => boolean): readonly string[];
  workloadsOf(service: Service): readonly Labels[];
  hasSecret(namespace: string, name: string): boolean;
  /** Whether workloads with these labels take mutual TLS only, whatever the port. */
  isStrict(namespace: string, labels: Labels): boolean;
  virtualService(namespace: string, name: string): VirtualService | undefined;
  /** By `NAMESPACE/NAME`. */
  readonly gateways: ReadonlySet<string>;
  readonly gatewayServers: GatewayServers;
  /** Those with this host, under its full name, the older first. */
  virtualServicesFor(hostname: string): readonly VirtualService[];
  /** `NAMESPACE/NAME` of every VirtualService that another one delegates to. */
  readonly delegates: ReadonlySet<string>;
  /** Those of the same namespace for the same host and callers, the older first. */
  destinationRulesBeside(rule: DestinationRule): readonly DestinationRule[];
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
  const wildcardEntries = [...services].filter(([host]) => host.startsWith("*"));
  const rules = Map.groupBy(of.DestinationRule, ({ metadata, spec }) => fullName(spec.host, metadata.namespace));
  const ports = lazily(() => countPorts(services));
  const wildcardRules = [...rules].filter(([host]) => host.startsWith("*"));
  const workloads = workloadsByNamespace(of);
  const policiesIn = Map.groupBy(of.PeerAuthentication, ({ metadata }) => metadata.namespace);
  const virtualServices = new Map(
    of.VirtualService.map((one) => [keyOf(one.metadata.namespace, one.metadata.name), one]),
  );
  const claims = claimedHosts(of.VirtualService.sort(olderFirst), fullName);
  const ruleKey = ({ metadata: { namespace }, spec }: DestinationRule) => {
    const callers = Object.entries(spec.workloadSelector?.matchLabels ?? {}).sort();
    return JSON.stringify([namespace, fullName(spec.host, namespace), callers]);
  };
  const merged = Map.groupBy(of.DestinationRule.sort(olderFirst), ruleKey);
  const secrets = new Set(of.Secret.map(({ metadata }) => keyOf(metadata.namespace, metadata.name)));
  return {
    config,
    service(host, namespace) {
      const name = fullName(host, namespace);
      return services.get(name) ?? wildcardEntries.find(([pattern]) => hostMatches(pattern, name))?.[1];
    },
    serviceEntries: indexServiceEntries(of.ServiceEntry),
    rateLimits: of.RateLimit,
    hasServiceLike: (pattern) => [...services.keys()].some((host) => hostMatches(pattern, host)),
    portsUnder: (hostname) => ports().get(hostname) ?? 0,
    hasSubset(host, namespace, subset) {
      const name = fullName(host, namespace);
      const found = [
        ...(rules.get(name) ?? []),
        ...wildcardRules.flatMap(([pattern, list]) => (hostMatches(pattern, name) ? list : [])),
      ];
      if (found.length === 0) return undefined;
      return found.some(({ spec }) => (spec.subsets ?? []).some((known) => known.name === subset));
    },
    hasWorkload: (namespace, labels) =>
      (config.rootNamespaces.includes(namespace) ? [...workloads.keys()] : [namespace]).some((name) =>
        (workloads.get(name) ?? []).some((workload) => labelsMatch(labels, workload)),
      ),
    namespacesOf: (isWanted) =>
      [...workloads].flatMap(([namespace, found]) => (found.some(isWanted) ? [namespace] : [])).sort(),
    workloadsOf: ({ metadata, spec }) =>
      Object.keys(spec.selector ?? {}).length === 0
        ? []
        : (workloads.get(metadata.namespace) ?? []).filter((workload) => labelsMatch(spec.selector, workload)),
    hasSecret: (namespace, name) => secrets.has(keyOf(namespace, name)),
    isStrict(namespace, labels) {
      const reaching = [...config.rootNamespaces, namespace];
      const policies = new Set(reaching.flatMap((name) => policiesIn.get(name) ?? []));
      const { mode, byPort } = buildMutualTlsModes([...policies], labels, namespace);
      return mode === "STRICT" && Object.values(byPort).every((portMode) => portMode === "STRICT");
    },
    virtualService: (namespace, name) => virtualServices.get(keyOf(namespace, name)),
    gateways: new Set(of.Gateway.map(({ metadata }) => keyOf(metadata.namespace, metadata.name))),
    gatewayServers: indexGatewayServers(of.Gateway),
    virtualServicesFor: (hostname) => claims.get(hostname) ?? [],
    delegates: new Set(of.VirtualService.flatMap(delegateKeys)),
    destinationRulesBeside: (rule) => merged.get(ruleKey(rule)) ?? [],
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

function claimedHosts(
  virtualServices: readonly VirtualService[],
  fullName: (host: string, namespace: string) => string,
): ReadonlyMap<string, readonly VirtualService[]> {
  const claims = new Map<string, VirtualService[]>();
  for (const virtualService of virtualServices) {
    for (const host of virtualService.spec.hosts ?? []) {
      const hostname = fullName(host, virtualService.metadata.namespace);
      const known = claims.get(hostname);
      if (known === undefined) claims.set(hostname, [virtualService]);
      else known.push(virtualService);
    }
  }
  return claims;
}

/** By each host that services have, and each wildcard that covers some. */
function countPorts(services: ReadonlyMap<string, Service | ServiceEntry>): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const [host, { spec }] of services) {
    const labels = host.split(".");
    const patterns = labels.map((_label, from) => ["*", ...labels.slice(from + 1)].join("."));
    for (const pattern of new Set([host, ...patterns])) {
      counts.set(pattern, (counts.get(pattern) ?? 0) + (spec.ports ?? []).length);
    }
  }
  return counts;
}

function workloadsByNamespace(of: ReturnType<typeof objectsByKind>): ReadonlyMap<string, readonly Labels[]> {
  const workloads = new Map<string, Labels[]>();
  const add = (namespace: string, labels: Labels) => {
    const known = workloads.get(namespace);
    if (known === undefined) workloads.set(namespace, [labels]);
    else known.push(labels);
  };
  for (const { metadata } of of.Pod) add(metadata.namespace, metadata.labels);
  for (const { metadata, spec } of of.WorkloadController) {
    add(metadata.namespace, spec.template.metadata?.labels ?? {});
  }
  return workloads;
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
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(", ");
}
