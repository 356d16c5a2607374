import { fromBinary, type JsonValue } from "@bufbuild/protobuf";
import { ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import { ListenerSchema } from "../gen/envoy/config/listener/v3/listener_pb.ts";
import { RouteConfigurationSchema } from "../gen/envoy/config/route/v3/route_pb.ts";
import { isRecord } from "../mesh/conform.ts";
import { credentialNames } from "../mesh/credentials.ts";
import { describeObject } from "../mesh/finding.ts";
import type { DestinationRule } from "../mesh/istio/destination-rule.ts";
import type { KnownObject } from "../mesh/kinds.ts";
import { labelsMatch } from "../mesh/labels.ts";
import { refOf } from "../mesh/object.ts";
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
  for (const progress of refusing) {
    for (const refusal of progress.refusals) {
      const owners =
        refusal.typeUrl === TYPE_URL.secret ? credentialOwners(refusal, progress, rules) : suspectsOf(refusal);
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

function suspectsOf({ typeUrl, refused, kept }: Refusal): readonly string[] {
  const now = ownedParts(typeUrl, refused);
  const before = kept === null ? new Map<string, string>() : ownedParts(typeUrl, kept);
  const changed = [...now].filter(([owner, parts]) => before.get(owner) !== parts).map(([owner]) => owner);
  return changed.length > 0 ? changed : [...now.keys()];
}

const partsOf = new WeakMap<EncodedResource, ReadonlyMap<string, string>>();

/** The text of what each object made of a resource. */
function ownedParts(typeUrl: TypeUrl, resource: EncodedResource): ReadonlyMap<string, string> {
  const known = partsOf.get(resource);
  if (known !== undefined) return known;
  const parts = new Map<string, string>();
  collectParts(resourceJson(typeUrl, resource.bytes), "", parts);
  partsOf.set(resource, parts);
  return parts;
}

function resourceJson(typeUrl: TypeUrl, bytes: Uint8Array): JsonValue {
  if (typeUrl === TYPE_URL.cluster) return envoyJson(ClusterSchema, fromBinary(ClusterSchema, bytes));
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
  const owner = ownerOf(value);
  if (owner !== undefined) addPart(parts, owner, domains + JSON.stringify(value));
  const around = Array.isArray(value.domains) ? value.domains.join() : domains;
  for (const [key, child] of Object.entries(value)) {
    const [, namespace, name] = /^ns\[(.*)\]-policy\[(.*)\]-rule\[\d+\]$/.exec(key) ?? [];
    if (namespace !== undefined && name !== undefined) {
      addPart(parts, describeObject({ kind: "AuthorizationPolicy", namespace, name }), JSON.stringify(child));
    }
    collectParts(child, around, parts);
  }
}

function ownerOf({ metadata, name }: Record<string, unknown>): string | undefined {
  const limit = typeof name === "string" ? rateLimitOf(name) : undefined;
  if (limit !== undefined) return describeObject(limit);
  const filterMetadata = isRecord(metadata) ? metadata.filterMetadata : undefined;
  const istio = isRecord(filterMetadata) ? filterMetadata.istio : undefined;
  return isRecord(istio) && typeof istio.config === "string" ? istio.config : undefined;
}

function addPart(parts: Map<string, string>, owner: string, text: string): void {
  parts.set(owner, (parts.get(owner) ?? "") + text);
}

/** The rules by which the proxy was given a Secret, whose resources are `kubernetes://NAME` and `…-cacert`. */
function credentialOwners(
  { refused }: Refusal,
  { proxy }: ProxyProgress,
  rules: readonly DestinationRule[],
): readonly string[] {
  return rules
    .filter(
      (rule) =>
        rule.metadata.namespace === proxy.namespace &&
        labelsMatch(rule.spec.workloadSelector?.matchLabels, proxy.labels) &&
        credentialNames([rule]).some((name) =>
          [`kubernetes://${name}`, `kubernetes://${name}-cacert`].includes(refused.name),
        ),
    )
    .map(configPath);
}
