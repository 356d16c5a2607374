import { selectsCallers } from "../mesh/credentials.ts";
import type { DestinationRule } from "../mesh/istio/destination-rule.ts";
import type { Sidecar } from "../mesh/istio/sidecar.ts";
import { labelsMatch } from "../mesh/labels.ts";
import { selectSidecar } from "../mesh/select-sidecar.ts";
import type { MeshOutline, MeshSnapshot } from "../mesh/snapshot.ts";
import { placedLabel } from "../mesh/topology-labels.ts";
import { BuildCache } from "../platform/build-cache.ts";
import type { ProxyNode } from "../xds/node.ts";
import { type EncodedResource, type ProxyResources, ResourceSet, TYPE_URL, type TypeUrl } from "../xds/resource-set.ts";
import { askedPlaces, asksWhoCalls } from "./bound-virtual-service.ts";
import { answersDns } from "./dns-capture.ts";
import { createEndpointSets, type EndpointSets } from "./endpoint/endpoint-sets.ts";
import { viewpointOf } from "./endpoint/viewpoint.ts";
import { readGatewayTopology } from "./gateway/topology.ts";
import { type GatewayOutbound, gatewayView, translateGateway } from "./gateway/translate-gateway.ts";
import { translateInbound } from "./inbound.ts";
import { type Interception, readInterception } from "./interception.ts";
import { type Outbound, type SidecarResources, translateOutbound } from "./outbound.ts";
import { viewOf } from "./outbound-variant.ts";
import { readProxyHttp } from "./proxy-http.ts";
import { type OutboundScope, selectOutboundScope } from "./scope.ts";
import { tuneClusters } from "./tune-clusters.ts";
import { tuneListeners, tuneRoutes } from "./tune-http.ts";
import { buildWorkload, type Workload } from "./workload.ts";

/** What of a node message its configuration depends on. */
export type ProxyDescription = Pick<ProxyNode, "name" | "namespace" | "ipAddress" | "labels"> &
  Partial<Pick<ProxyNode, "type" | "metadata" | "locality">>;

/**
 * Translates one mesh snapshot after the other. Proxies that see the same get the same sets (===), and what a change
 * does not touch keeps its identity from one snapshot to the next.
 */
export interface Translator {
  /** Makes `mesh` what `translate` answers from. */
  update(mesh: MeshSnapshot): void;
  translate(proxy: ProxyDescription): ProxyResources;
}

export function createTranslator(mesh: MeshSnapshot, cache: BuildCache = new BuildCache()): Translator {
  const sets = new ResourceSets();
  const parts = cache.ofParts();
  let round = new Round(mesh, cache, parts);
  return {
    update(next) {
      cache.endRound();
      parts.endRound();
      sets.endRound();
      round = new Round(next, cache, parts, round);
    },
    translate(proxy) {
      const { outbound, ...own } = proxy.type === "router" ? round.gateway(proxy) : round.sidecar(proxy);
      const endpoints = round.endpoints(outbound, proxy);
      const inbound = { ...NOTHING, ...own.inbound };
      const http = readProxyHttp(proxy.metadata ?? {});
      const tuned = (listeners: readonly EncodedResource[]) => tuneListeners(listeners, http, cache);
      const clusters = (shared: readonly EncodedResource[]) => tuneClusters(shared, http, cache);
      return new Map<TypeUrl, ResourceSet>([
        [TYPE_URL.cluster, sets.join(TYPE_URL.cluster, clusters(outbound.clusters), clusters(inbound.clusters))],
        [TYPE_URL.endpoint, sets.join(TYPE_URL.endpoint, endpoints, inbound.endpoints)],
        [TYPE_URL.listener, sets.join(TYPE_URL.listener, tuned(outbound.listeners), tuned(inbound.listeners))],
        [TYPE_URL.route, sets.join(TYPE_URL.route, tuneRoutes(outbound.routes, http, cache), [])],
      ]);
    },
  };
}

/** What a proxy shares with others, and what is for its own workload. */
interface ProxyParts {
  readonly outbound: Outbound;
  readonly inbound: Partial<Pick<SidecarResources, "clusters" | "endpoints" | "listeners">>;
}

const NO_RESOURCES: readonly EncodedResource[] = Object.freeze([]);
const NOTHING = { clusters: NO_RESOURCES, endpoints: NO_RESOURCES, listeners: NO_RESOURCES };

/** What was worked out from one snapshot, once for all proxies. */
class Round {
  readonly mesh: MeshSnapshot;
  readonly #cache: BuildCache;
  readonly #parts: BuildCache;
  readonly #last: ReadonlyMap<string, Workload>;
  readonly #workloads = new Map<string, Workload>();
  /** By namespace: rules that some of its callers go by, and others not. */
  readonly #selectingRules: ReadonlyMap<string, readonly DestinationRule[]>;
  readonly #scopes = new Map<string, ScopeOfCallers>();
  readonly #outbound = new Map<string, Outbound>();
  readonly #gateways = new Map<string, GatewayOutbound>();
  readonly #endpoints = new Map<Outbound, EndpointSets>();

  constructor(mesh: MeshSnapshot, cache: BuildCache, parts: BuildCache, last?: Round) {
    this.mesh = mesh;
    this.#cache = cache;
    this.#parts = parts;
    this.#selectingRules = Map.groupBy(
      mesh.destinationRules.filter(({ spec }) => selectsCallers(spec)),
      ({ metadata }) => metadata.namespace,
    );
    this.#last = last === undefined ? new Map() : last.#workloads;
  }

  /** The pod's own labels and ports where the mesh knows the pod, else what the proxy says. */
  #workload({ name, namespace, labels }: ProxyDescription): Workload {
    const pod = this.mesh.pods.get(`${namespace}/${name}`);
    const containers = [...(pod?.spec.containers ?? []), ...(pod?.spec.initContainers ?? [])];
    const fresh = buildWorkload(namespace, pod?.metadata.labels ?? labels, containers);
    const workload = this.#workloads.get(fresh.id) ?? this.#last.get(fresh.id) ?? fresh;
    this.#workloads.set(workload.id, workload);
    return workload;
  }

  outbound(proxy: ProxyDescription, { hasIpv6 }: Interception) {
    const workload = this.#workload(proxy);
    const sidecar = selectSidecar(this.mesh, workload.namespace, workload.labels);
    const { scope, asksWhoCalls, places } = this.#scope(workload, sidecar);
    const caller = asksWhoCalls ? this.#caller(workload, places, proxy) : null;
    const variant = { caller, hasIpv6, answersDns: answersDns(proxy.metadata ?? {}) };
    const key = viewOf(scope, variant);
    let outbound = this.#outbound.get(key);
    if (outbound === undefined) {
      outbound = translateOutbound(this.mesh, scope, variant, this.#cache, this.#parts);
      this.#outbound.set(key, outbound);
    }
    return { workload, sidecar, scope, outbound };
  }

  sidecar(proxy: ProxyDescription): ProxyParts {
    const interception = readInterception(proxy);
    const { workload, sidecar, scope, outbound } = this.outbound(proxy, interception);
    const inbound = {
      ...{ workload, address: proxy.ipAddress, interception, sidecar, scope },
      answersDns: answersDns(proxy.metadata ?? {}),
    };
    return { outbound, inbound: translateInbound(this.mesh, inbound, this.#cache) };
  }

  gateway(proxy: ProxyDescription): ProxyParts {
    const workload = this.#workload(proxy);
    const { hasIpv6 } = readInterception(proxy);
    const topology = readGatewayTopology(proxy.metadata);
    const { network } = viewpointOf(proxy, this.mesh);
    const asked = { mesh: this.mesh, workload, hasIpv6, topology, network, scope: this.#scope(workload, null).scope };
    const key = gatewayView(asked);
    const known = this.#gateways.get(key) ?? translateGateway(asked, this.#cache);
    this.#gateways.set(key, known);
    return { outbound: known, inbound: { endpoints: known.sniEndpoints } };
  }

  endpoints(outbound: Outbound, proxy: ProxyDescription): readonly EncodedResource[] {
    let sets = this.#endpoints.get(outbound);
    if (sets === undefined) {
      sets = createEndpointSets(outbound, this.#cache);
      this.#endpoints.set(outbound, sets);
    }
    return sets.seenFrom(() => viewpointOf(proxy, this.mesh));
  }

  /** With the labels that it has from where it runs, as far as they are asked for. */
  #caller(workload: Workload, places: readonly string[], proxy: ProxyDescription): Workload {
    if (places.length === 0) return workload;
    const viewpoint = viewpointOf(proxy, this.mesh);
    const found = places.flatMap((key): [string, string][] => {
      const value = placedLabel(key, viewpoint);
      return value === undefined ? [] : [[key, value]];
    });
    const labels = { ...workload.labels, ...Object.fromEntries(found) };
    const fresh = { ...workload, id: JSON.stringify([workload.id, found]), labels };
    const caller = this.#workloads.get(fresh.id) ?? this.#last.get(fresh.id) ?? fresh;
    this.#workloads.set(caller.id, caller);
    return caller;
  }

  #scope({ namespace, labels }: Workload, sidecar: Sidecar | null) {
    const ownRules = (this.#selectingRules.get(namespace) ?? []).filter(({ spec }) =>
      labelsMatch(spec.workloadSelector?.matchLabels, labels),
    );
    const of = `${sidecar?.metadata.namespace} ${sidecar?.metadata.name}`;
    const key = `${namespace} ${of} ${ownRules.map(({ metadata }) => metadata.name)}`;
    let known = this.#scopes.get(key);
    if (known === undefined) {
      const rules = this.#cache.list(`own rules ${key}`, ownRules);
      known = this.#cache.get(buildScopeOfCallers, this.mesh.outline, namespace, sidecar, rules);
      this.#scopes.set(key, known);
    }
    return known;
  }
}

function buildScopeOfCallers(
  outline: MeshOutline,
  namespace: string,
  sidecar: Sidecar | null,
  ownRules: readonly DestinationRule[],
): ScopeOfCallers {
  const scope = selectOutboundScope(outline, namespace, sidecar, ownRules);
  const places = [...new Set(scope.virtualServices.flatMap(askedPlaces))].sort();
  return { scope, asksWhoCalls: scope.virtualServices.some(asksWhoCalls), places };
}

interface ScopeOfCallers {
  readonly scope: OutboundScope;
  /** Whether its VirtualServices tell its callers apart. */
  readonly asksWhoCalls: boolean;
  /** By which of the labels that they have from where they run. */
  readonly places: readonly string[];
}

/**
 * Joins the shared outbound part with a workload's own; workloads whose own part has the same content share the set.
 * Sets that two snapshots in a row had no use for are forgotten.
 */
class ResourceSets {
  readonly #joined = new WeakMap<readonly EncodedResource[], JoinedSets>();
  #round = 0;

  endRound(): void {
    this.#round++;
  }

  join(typeUrl: TypeUrl, outbound: readonly EncodedResource[], inbound: readonly EncodedResource[]): ResourceSet {
    let joined = this.#joined.get(outbound);
    if (joined === undefined) {
      joined = { byKey: new Map(), sweptIn: this.#round };
      this.#joined.set(outbound, joined);
    }
    if (joined.sweptIn < this.#round) {
      joined.sweptIn = this.#round;
      for (const [key, { usedIn }] of joined.byKey) if (usedIn < this.#round - 1) joined.byKey.delete(key);
    }
    const key = `${typeUrl} ${inbound.map(({ name, version }) => `${name}@${version}`)}`;
    const set = joined.byKey.get(key)?.set ?? new ResourceSet(typeUrl, [...outbound, ...inbound]);
    joined.byKey.set(key, { set, usedIn: this.#round });
    return set;
  }
}

interface JoinedSets {
  readonly byKey: Map<string, { readonly set: ResourceSet; readonly usedIn: number }>;
  sweptIn: number;
}
