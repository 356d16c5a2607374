import { parse as parseYaml } from "yaml";
import { messageOf } from "../platform/errors.ts";
import { isTrustDomain } from "../platform/trust-domain.ts";
import { checkProxyConfig } from "./check-proxy-config.ts";
import { conform, isRecord, joinPath } from "./conform.ts";
import { deepFreeze } from "./deep-freeze.ts";
import type { Finding } from "./finding.ts";
import { type ForeignAuthority, parseForeignAuthorities } from "./foreign-authority.ts";
import type { HttpRetry } from "./istio/http-policies.ts";
import type { LocalityLbSetting } from "./istio/load-balancer.ts";
import type { ProxyConfig } from "./istio/mesh-proxy-config.ts";
import { ineffectiveFields } from "./istio/proxy-config-fields.ts";
import type { ConfigMap } from "./kubernetes/core.ts";
import type { LabelSelector } from "./label-selector.ts";
import { isContribDatabase, type Keepalive, meshConfigFields } from "./mesh-config-fields.ts";
import { type MeshNetworks, NO_NETWORKS, parseMeshNetworks } from "./mesh-networks.ts";
import { refOf } from "./object.ts";
import { ownValue } from "./own-value.ts";
import type { Database } from "./port-protocol.ts";

/** Mesh-wide settings with every default filled in. */
export interface MeshConfig {
  readonly trustDomain: string;
  /**
   * Policies of these namespaces hold for the whole mesh. Where `rootNamespace` is not set they are the control plane's
   * own and Istio's, so that what was written for Istio keeps its reach.
   */
  readonly rootNamespaces: readonly string[];
  /** DNS suffix of service names. */
  readonly domain: string;
  readonly enableAutoMtls: boolean;
  /** Names that the mesh's own trust domain had, or has in other meshes. Sorted. */
  readonly trustDomainAliases: readonly string[];
  /** Other trust domains whose workloads are known here. */
  readonly foreignAuthorities: readonly ForeignAuthority[];
  readonly outboundTrafficPolicy: "ALLOW_ANY" | "REGISTRY_ONLY";
  /** What no Service leads to is delivered at the address that the caller dialled, or on loopback. */
  readonly inboundTrafficPolicy: "PASSTHROUGH" | "LOCALHOST";
  /** For objects that say nothing of their own; an empty list is everywhere. */
  readonly defaultServiceExportTo: readonly string[];
  readonly defaultVirtualServiceExportTo: readonly string[];
  readonly defaultDestinationRuleExportTo: readonly string[];
  /** How long a connection's first bytes are waited for where its protocol is not declared; null is Trysail's own choice. */
  readonly protocolDetectionTimeout: string | null;
  readonly connectTimeout: string;
  readonly dnsRefreshRate: string;
  readonly tcpKeepalive: Keepalive | null;
  /** Whether HTTP/1.1 becomes HTTP/2 between sidecars. */
  readonly isHttp2Upgraded: boolean;
  /** How paths are written before policies and routes look at them. */
  readonly pathNormalization: "NONE" | "BASE" | "MERGE_SLASHES" | "DECODE_AND_MERGE_SLASHES";
  readonly localityLb: LocalityLbSetting | null;
  /** Of namespaces whose objects make the mesh, one of which has to select them; an empty list is all of them. */
  readonly discoverySelectors: readonly LabelSelector[];
  /** Of which hosts callers stay in their own cluster, or do not. */
  readonly clusterLocalHosts: readonly { readonly host: string; readonly isLocal: boolean }[];
  /** Which networks there are, beside those that labels name. */
  readonly networks: MeshNetworks;
  /** Databases that callers' proxies look into, beside passing the bytes on. */
  readonly databaseFilters: readonly Database[];
  /** Of routes that say nothing of retries; null is Istio's own default. */
  readonly defaultHttpRetryPolicy: HttpRetry | null;
  /** Of every proxy whose pod and ProxyConfig resources say nothing else; injection reads it as it makes a pod. */
  readonly defaultConfig: ProxyConfig | null;
  /** Whether Prometheus gets all of a pod's metrics in one answer; null leaves it to the injection config. */
  readonly enablePrometheusMerge: boolean | null;
}

/** Where the control plane is unless it is told otherwise. */
export const SYSTEM_NAMESPACE = "trysail-system";
const ISTIO_NAMESPACE = "istio-system";

export const defaultMeshConfig: Omit<MeshConfig, "trustDomain"> = Object.freeze({
  rootNamespaces: placesOf(SYSTEM_NAMESPACE),
  domain: "cluster.local",
  enableAutoMtls: true,
  trustDomainAliases: Object.freeze([]),
  foreignAuthorities: Object.freeze([]),
  outboundTrafficPolicy: "ALLOW_ANY",
  inboundTrafficPolicy: "PASSTHROUGH",
  defaultServiceExportTo: Object.freeze([]),
  defaultVirtualServiceExportTo: Object.freeze([]),
  defaultDestinationRuleExportTo: Object.freeze([]),
  protocolDetectionTimeout: null,
  connectTimeout: "10s",
  dnsRefreshRate: "60s",
  tcpKeepalive: null,
  isHttp2Upgraded: false,
  pathNormalization: "BASE",
  localityLb: null,
  discoverySelectors: Object.freeze([]),
  clusterLocalHosts: Object.freeze([]),
  networks: NO_NETWORKS,
  databaseFilters: Object.freeze([]),
  defaultHttpRetryPolicy: null,
  defaultConfig: null,
  enablePrometheusMerge: null,
});

/** Of the ConfigMaps `istio` that hold a MeshConfig under `data.mesh` that of the control plane's own namespace, else Istio's. */
export function meshConfigHolder(configMaps: readonly ConfigMap[], systemNamespace: string): ConfigMap | undefined {
  for (const namespace of placesOf(systemNamespace)) {
    const found = configMaps.find(({ metadata }) => metadata.namespace === namespace && metadata.name === "istio");
    if (found?.data?.mesh !== undefined) return found;
  }
  return undefined;
}

/** The settings where no ConfigMap holds any. */
export function buildDefaultMeshConfig(trustDomain: string, systemNamespace: string): MeshConfig {
  return Object.freeze({ ...defaultMeshConfig, rootNamespaces: placesOf(systemNamespace), trustDomain });
}

function placesOf(systemNamespace: string): readonly string[] {
  return Object.freeze([...new Set([systemNamespace, ISTIO_NAMESPACE])]);
}

/**
 * The settings in one ConfigMap. What cannot be read becomes a Finding and stays as it was in `last`, so that a typing
 * mistake opens nothing; what is not written is as in `defaults`. The trust domain is the one of the mesh's root, so a
 * ConfigMap can only agree with it.
 */
export function parseMeshConfig(
  holder: ConfigMap,
  { last, defaults }: { readonly last: MeshConfig; readonly defaults: MeshConfig },
): { config: MeshConfig; findings: Finding[] } {
  const findings: Finding[] = [];
  const report = (severity: Finding["severity"], code: Finding["code"], message: string, field: string) =>
    findings.push({ severity, code, message, field, object: refOf(holder), origin: holder.origin });
  let yaml: unknown;
  try {
    yaml = parseYaml(holder.data?.mesh ?? "", { maxAliasCount: 0 }) ?? {};
  } catch (error) {
    report("error", "document-malformed", `the mesh config is not YAML: ${messageOf(error)}`, "data.mesh");
    return { config: last, findings };
  }
  if (!isRecord(yaml)) {
    report("error", "schema-invalid", "the mesh config must be a mapping of fields", "data.mesh");
    return { config: last, findings };
  }
  const { trustDomain } = yaml;
  if (typeof trustDomain === "string" && trustDomain !== last.trustDomain) {
    const message = `the mesh's root is of trust domain ${last.trustDomain}, so ${trustDomain} has no effect; start the control plane with --trust-domain ${trustDomain} on a new state folder`;
    report("error", "value-invalid", message, "data.mesh.trustDomain");
  }
  const read = knownAliases(readFields(yaml, last, report), last.trustDomain, report);
  const settings = startable(ownDefaults(read, holder, report), last, report);
  if (settings.databaseFilters !== undefined) reportMissingFilters(yaml.trysail, report);
  if (isRecord(yaml.defaultConfig) && settings.defaultConfig) reportIneffective(settings.defaultConfig, report);
  const written = holder.data?.meshNetworks;
  const networks = written === undefined ? NO_NETWORKS : parseMeshNetworks(written, last.networks, report);
  const config = { ...defaults, ...settings, networks, trustDomain: last.trustDomain };
  const foreignAuthorities = federated(yaml.caCertificates ?? [], config, last, report);
  return { config: Object.freeze({ ...config, foreignAuthorities }), findings };
}

/** What is told of a ConfigMap that held the mesh config and is still there. */
export function emptiedMeshConfig(holder: ConfigMap): Finding {
  const message =
    "the mesh config is gone from here: its settings stay in use, but a control plane that starts anew takes those that are shipped; put it back, or delete the ConfigMap where these are wanted";
  return {
    ...{ severity: "error", code: "reference-missing", message, field: "data.mesh" },
    ...{ object: refOf(holder), origin: holder.origin },
  };
}

function federated(
  written: unknown,
  { trustDomain, trustDomainAliases }: MeshConfig,
  last: MeshConfig,
  report: Report,
): MeshConfig["foreignAuthorities"] {
  const authorities = parseForeignAuthorities(written, {
    ownDomains: [trustDomain, ...trustDomainAliases],
    last: last.foreignAuthorities,
    report(entry, problem) {
      const field = `data.mesh.caCertificates${entry}`;
      report("error", "value-invalid", `${field} ${problem}`, field);
    },
  });
  return deepFreeze(authorities);
}

function reportIneffective(defaultConfig: ProxyConfig, report: Report): void {
  for (const { name, reason } of ineffectiveFields(defaultConfig)) {
    const field = `data.mesh.defaultConfig.${name}`;
    const message = `mesh config field ${field} is not supported and has no effect${reason === "" ? "" : `: ${reason}`}`;
    report("warning", "field-unsupported", message, field);
  }
}

/** Istio has filters for more databases, which stock Envoy lacks. */
function reportMissingFilters(trysail: unknown, report: Report): void {
  const asked = isRecord(trysail) && Array.isArray(trysail.databaseFilters) ? trysail.databaseFilters : [];
  for (const [at, name] of asked.entries()) {
    if (!isContribDatabase(name)) continue;
    const field = `data.mesh.trysail.databaseFilters[${at}]`;
    const message = `${field} is ${name}, for which stock Envoy has no filter: such ports stay plain TCP`;
    report("warning", "field-unsupported", message, field);
  }
}

/** Nobody can have a certificate of what is no trust domain: a `*`, or an id in place of its domain. */
function knownAliases(settings: Partial<MeshConfig>, trustDomain: string, report: Report): Partial<MeshConfig> {
  const { trustDomainAliases: written } = settings;
  if (written === undefined) return settings;
  // Istio's may have capitals.
  const isAlias = (name: string) => isTrustDomain(name.toLowerCase());
  for (const name of written.filter((name) => !isAlias(name))) {
    const field = "data.mesh.trustDomainAliases";
    const problem = `names ${JSON.stringify(name)}, which is not a trust domain and has no effect: name each one as it is`;
    report("error", "value-invalid", `${field} ${problem}`, field);
  }
  const trustDomainAliases = Object.freeze(written.filter((name) => isAlias(name) && name !== trustDomain));
  return { ...settings, trustDomainAliases };
}

/** Istio's ConfigMap is often there beside Istio itself, and must not lead every new pod to it. */
function ownDefaults(settings: Partial<MeshConfig>, holder: ConfigMap, report: Report): Partial<MeshConfig> {
  const { defaultConfig } = settings;
  if (!defaultConfig?.discoveryAddress || holder.metadata.namespace !== ISTIO_NAMESPACE) return settings;
  const field = "data.mesh.defaultConfig.discoveryAddress";
  report("warning", "field-unsupported", `${field} names Istio's own control plane and has no effect here`, field);
  const { discoveryAddress: _, ...rest } = defaultConfig;
  return { ...settings, defaultConfig: deepFreeze(rest) };
}

/** Every new pod's proxy starts from these, so that a mistake in them would keep all of them from starting. */
function startable(settings: Partial<MeshConfig>, last: MeshConfig, report: Report): Partial<MeshConfig> {
  const problems = settings.defaultConfig ? checkProxyConfig(settings.defaultConfig) : [];
  for (const { severity, path, reason } of problems) {
    const field = `data.mesh.defaultConfig.${path}`;
    report(severity, "value-invalid", `${field} ${reason}`, field);
  }
  return problems.length === 0 ? settings : { ...settings, defaultConfig: last.defaultConfig };
}

type Report = (severity: Finding["severity"], code: Finding["code"], message: string, field: string) => void;

/** Each field stands for itself: a mistake in one must not undo what another one closes. */
function readFields(yaml: Record<string, unknown>, last: MeshConfig, report: Report): Partial<MeshConfig> {
  const unsupported = (field: string) =>
    report("warning", "field-unsupported", `mesh config field ${field} is not supported and has no effect`, field);
  let settings: Partial<MeshConfig> = {};
  for (const [key, written] of Object.entries(yaml)) {
    const path = joinPath("data.mesh", key);
    const field = ownValue(meshConfigFields, key);
    if (field === undefined) unsupported(path);
    if (field === undefined || written === null) continue;
    const { value, mismatches, unknownFields } = conform(field.schema, written);
    for (const name of unknownFields) unsupported(below(path, name));
    for (const mismatch of mismatches) {
      const at = below(path, mismatch.path);
      report("error", "schema-invalid", `${at} ${mismatch.reason}`, at);
    }
    const kept = Object.fromEntries(field.keys.map((name) => [name, last[name]]));
    settings = { ...settings, ...(mismatches.length === 0 ? deepFreeze(field.read(value)) : kept) };
  }
  return settings;
}

/** A path inside of a field: an item of a list follows without a dot. */
function below(path: string, inner: string): string {
  return inner === "" || inner.startsWith("[") ? `${path}${inner}` : `${path}.${inner}`;
}
