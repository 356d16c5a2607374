import { fromBinary, type JsonValue } from "@bufbuild/protobuf";
import { ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import { ClusterLoadAssignmentSchema } from "../gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import { ListenerSchema } from "../gen/envoy/config/listener/v3/listener_pb.ts";
import { RouteConfigurationSchema } from "../gen/envoy/config/route/v3/route_pb.ts";
import { fileSecretNames } from "../mesh/certificate-files.ts";
import { isRecord } from "../mesh/conform.ts";
import { credentialNames, grantsCredentials, selectsProxy, serverCredentials } from "../mesh/credentials.ts";
import { describeObject } from "../mesh/finding.ts";
import type { DestinationRule } from "../mesh/istio/destination-rule.ts";
import type { Gateway } from "../mesh/istio/gateway.ts";
import type { ServiceEntry } from "../mesh/istio/service-entry.ts";
import type { KnownObject } from "../mesh/kinds.ts";
import { labelsMatch } from "../mesh/labels.ts";
import { refOf } from "../mesh/object.ts";
import { visibleFrom } from "../mesh/visibility.ts";
import { envoyJson } from "../translate/envoy-registry.ts";
import { rateLimitOf } from "../translate/filters/rate-limit-name.ts";
import { configPath } from "../translate/provenance.ts";
import type { ProxyProgress } from "../xds/proxy-progress.ts";
import type { Refusal } from "../xds/refusals.ts";
import { type EncodedResource, TYPE_URL, type TypeUrl } from "../xds/resource-set.ts";

/** Which proxies refused what was made of an object, and in which words. */
export interface BlamedRefusals {
  of(object: KnownObject): ReadonlyMap<ProxyProgress, string> | undefined;
}

/**
 * Finds the objects behind what proxies refused, by the provenance that resources carry. Of several objects in one
 * resource those are blamed whose part differs from what the proxy keeps; all, where none does.
 */
export function blameRefusals(proxies: readonly ProxyProgress[], objects: readonly KnownObject[]): BlamedRefusals {
  const refusing = proxies.filter(({ refusals }) => refusals.length > 0);
  const blamed = new Map<string, Map<ProxyProgress, string>>();
  if (refusing.length === 0) return { of: () => undefined };
  const rules = objects.filter((object) => object.kind === "DestinationRule");
  const gateways = objects.filter((object) => object.kind === "Gateway");
  const entries = objects.filter((object) => object.kind === "ServiceEntry");
  for (const progress of refusing) {
    const entriesOf = (host: string) => entriesSeen(host, progress, entries);
    for (const refusal of progress.refusals) {
      const owners =
        refusal.typeUrl === TYPE_URL.secret
          ? credentialOwners(refusal, progress, rules, gateways)
          : suspectsOf(refusal, entriesOf);
      for (const owner of owners) {
        const ofOwner = blamed.get(owner) ?? new Map<ProxyProgress, string>();
        if (!ofOwner.has(progress)) ofOwner.set(progress, refusal.message);
        blamed.set(owner, ofOwner);
      }
    }
  }
  return { of: (object) => blamed.get(ownerKey(object)) };
}

/** Policies and limits are named by their namespace and name alone, all else by its path. */
function ownerKey(object: KnownObject): string {
  const isNamed = object.kind === "AuthorizationPolicy" || object.kind === "RateLimit";
  return isNamed ? describeObject(refOf(object)) : configPath(object);
}

function suspectsOf(
  { typeUrl, refused, kept }: Refusal,
  entriesOf: (host: string) => readonly string[],
): readonly string[] {
  const parts = ownedParts(typeUrl, refused);
  const before = kept === null ? null : ownedParts(typeUrl, kept);
  const changed = (now: ReadonlyMap<string, string>, old: ReadonlyMap<string, string> | undefined) =>
    [...now].filter(([owner, text]) => old?.get(owner) !== text).map(([owner]) => owner);
  const suspects = [
    ...changed(parts.ofObjects, before?.ofObjects),
    ...changed(parts.ofHosts, before?.ofHosts).flatMap(entriesOf),
  ];
  return suspects.length > 0 ? suspects : [...parts.ofObjects.keys(), ...[...parts.ofHosts.keys()].flatMap(entriesOf)];
}

/** The ServiceEntries that make a host for a proxy. */
function entriesSeen(host: string, { proxy }: ProxyProgress, entries: readonly ServiceEntry[]): readonly string[] {
  return entries
    .filter(
      ({ metadata, spec }) =>
        spec.hosts.some((one) => one.toLowerCase() === host) &&
        visibleFrom(proxy.namespace, metadata.namespace, spec.exportTo),
    )
    .map(configPath);
}

/** The text of what each object made of a resource, and of what is there for each host. */
interface Parts {
  readonly ofObjects: Map<string, string>;
  readonly ofHosts: Map<string, string>;
}

const partsOf = new WeakMap<EncodedResource, Parts>();

function ownedParts(typeUrl: TypeUrl, resource: EncodedResource): Parts {
  const known = partsOf.get(resource);
  if (known !== undefined) return known;
  const parts: Parts = { ofObjects: new Map(), ofHosts: new Map() };
  const json = resourceJson(typeUrl, resource.bytes);
  collectParts(json, "", parts.ofObjects);
  collectHosts(typeUrl, json, parts.ofHosts);
  partsOf.set(resource, parts);
  return parts;
}

function resourceJson(typeUrl: TypeUrl, bytes: Uint8Array): JsonValue {
  if (typeUrl === TYPE_URL.cluster) return envoyJson(ClusterSchema, fromBinary(ClusterSchema, bytes));
  if (typeUrl === TYPE_URL.endpoint)
    return envoyJson(ClusterLoadAssignmentSchema, fromBinary(ClusterLoadAssignmentSchema, bytes));
  if (typeUrl === TYPE_URL.listener) return envoyJson(ListenerSchema, fromBinary(ListenerSchema, bytes));
  if (typeUrl === TYPE_URL.route)
    return envoyJson(RouteConfigurationSchema, fromBinary(RouteConfigurationSchema, bytes));
  return null;
}

/** `domains` are those of the virtual host around it. */
function collectParts(value: unknown, domains: string, parts: Map<string, string>): void {
  if (Array.isArray(value)) {
    for (const item of value) collectParts(item, domains, parts);
    return;
  }
  if (!isRecord(value)) return;
  for (const owner of ownersOf(value)) addPart(parts, owner, domains + JSON.stringify(value));
  const around = Array.isArray(value.domains) ? value.domains.join() : domains;
  for (const [key, child] of Object.entries(value)) {
    const [, namespace, name] = /^ns\[(.*)\]-policy\[(.*)\]-rule\[\d+\]$/.exec(key) ?? [];
    if (namespace !== undefined && name !== undefined) {
      addPart(parts, describeObject({ kind: "AuthorizationPolicy", namespace, name }), JSON.stringify(child));
    }
    collectParts(child, around, parts);
  }
}

function ownersOf({ metadata, name }: Record<string, unknown>): readonly string[] {
  const limit = typeof name === "string" ? rateLimitOf(name) : undefined;
  if (limit !== undefined) return [describeObject(limit)];
  const filterMetadata = isRecord(metadata) ? metadata.filterMetadata : undefined;
  const istio = isRecord(filterMetadata) ? filterMetadata.istio : undefined;
  if (!isRecord(istio)) return [];
  const { config, shapedBy } = istio;
  return [config, ...(Array.isArray(shapedBy) ? shapedBy : [])].filter((path) => typeof path === "string");
}

/** Clusters and endpoints are one host's, as their name says; so are virtual hosts, and chains by where they lead. */
function collectHosts(typeUrl: TypeUrl, json: JsonValue, parts: Map<string, string>): void {
  if (!isRecord(json)) return;
  if (typeUrl === TYPE_URL.cluster || typeUrl === TYPE_URL.endpoint) {
    for (const host of clusterHosts(String(json.name ?? json.clusterName))) addPart(parts, host, JSON.stringify(json));
  }
  for (const chain of [...list(json.filterChains), ...list([json.defaultFilterChain])]) {
    // What an object routes elsewhere is that object's.
    if (ownersOf(chain).length > 0) continue;
    const text = JSON.stringify(chain);
    for (const host of new Set(clusterHosts(text))) addPart(parts, host, text);
  }
  for (const virtualHost of list(json.virtualHosts)) {
    const name = String(virtualHost.name);
    const routes = list(virtualHost.routes).filter((route) => ownersOf(route).length === 0);
    addPart(parts, name.slice(0, name.lastIndexOf(":")), JSON.stringify({ ...virtualHost, routes }));
  }
}

/** Of `outbound|80|v1|api.example.com`, wherever it stands in a text. */
function clusterHosts(text: string): readonly string[] {
  return [...text.matchAll(/outbound\|\d+\|[^|"]*\|([^|"]+)/g)].map(([, host = ""]) => host);
}

function list(value: unknown): readonly Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}

function addPart(parts: Map<string, string>, owner: string, text: string): void {
  parts.set(owner, (parts.get(owner) ?? "") + text);
}

/** The rules and Gateways by which the proxy was given a Secret, whose resources are `kubernetes://NAME` and `…-cacert`. */
function credentialOwners(
  { refused }: Refusal,
  { proxy }: ProxyProgress,
  rules: readonly DestinationRule[],
  gateways: readonly Gateway[],
): readonly string[] {
  const isRefused = (name: string) => [`kubernetes://${name}`, `kubernetes://${name}-cacert`].includes(refused.name);
  const ownRules = rules.filter(
    (rule) =>
      rule.metadata.namespace === proxy.namespace &&
      labelsMatch(rule.spec.workloadSelector?.matchLabels, proxy.labels) &&
      credentialNames([rule]).some(isRefused),
  );
  const ownGateways = gateways.filter(
    (gateway) =>
      (grantsCredentials(gateway, proxy.labels) && serverCredentials(gateway).some(({ name }) => isRefused(name))) ||
      (selectsProxy(gateway, proxy.labels) && fileSecretNames(gateway).includes(refused.name)),
  );
  return [...ownRules, ...ownGateways].map(configPath);
}
