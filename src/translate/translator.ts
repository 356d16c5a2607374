import type { MeshSnapshot } from "../mesh/snapshot.ts";
import { BuildCache } from "../platform/build-cache.ts";
import type { ProxyNode } from "../xds/node.ts";
import { type EncodedResource, type ProxyResources, ResourceSet, TYPE_URL, type TypeUrl } from "../xds/resource-set.ts";
import { translateInbound } from "./inbound.ts";
import { readInterception } from "./interception.ts";
import { asksWhoCalls, type SidecarResources, translateOutbound } from "./outbound.ts";
import { type OutboundScope, selectOutboundScope } from "./scope.ts";
import { buildWorkload, type Workload } from "./workload.ts";

/** What of a node message its configuration depends on. */
export type ProxyDescription = Pick<ProxyNode, "name" | "namespace" | "ipAddress" | "labels"> &
  Partial<Pick<ProxyNode, "metadata">>;

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
  let round = new Round(mesh, cache);
  return {
    update(next) {
      cache.endRound();
      sets.endRound();
      round = new Round(next, cache, round);
    },
    translate(proxy) {
      const workload = round.workload(proxy);
      const outbound = round.outbound(workload);
      const inbound = translateInbound(round.mesh, workload, proxy.ipAddress, readInterception(proxy), cache);
      return new Map<TypeUrl, ResourceSet>([
        [TYPE_URL.cluster, sets.join(TYPE_URL.cluster, outbound.clusters, inbound.clusters)],
        [TYPE_URL.endpoint, sets.join(TYPE_URL.endpoint, outbound.endpoints, [])],
        [TYPE_URL.listener, sets.join(TYPE_URL.listener, outbound.listeners, inbound.listeners)],
        [TYPE_URL.route, sets.join(TYPE_URL.route, outbound.routes, [])],
      ]);
    },
  };
}

/** What was worked out from one snapshot, once for all proxies. */
class Round {
  readonly mesh: MeshSnapshot;
  readonly #cache: BuildCache;
  readonly #last: ReadonlyMap<string, Workload>;
  readonly #workloads = new Map<string, Workload>();
  readonly #scopes = new Map<string, { scope: OutboundScope; asksWhoCalls: boolean }>();
  readonly #outbound = new Map<string, SidecarResources>();

  constructor(mesh: MeshSnapshot, cache: BuildCache, last?: Round) {
    this.mesh = mesh;
    this.#cache = cache;
    this.#last = last === undefined ? new Map() : last.#workloads;
  }

  /** The pod's own labels and ports where the mesh knows the pod, else what the proxy says. */
  workload({ name, namespace, labels }: ProxyDescription): Workload {
    const pod = this.mesh.pods.get(`${namespace}/${name}`);
    const containers = [...(pod?.spec.containers ?? []), ...(pod?.spec.initContainers ?? [])];
    const fresh = buildWorkload(namespace, pod?.metadata.labels ?? labels, containers);
    const workload = this.#workloads.get(fresh.id) ?? this.#last.get(fresh.id) ?? fresh;
    this.#workloads.set(workload.id, workload);
    return workload;
  }

  outbound(workload: Workload): SidecarResources {
    const { scope, asksWhoCalls } = this.#scope(workload.namespace);
    const caller = asksWhoCalls ? workload : null;
    const key = `${scope.namespace} ${caller?.id}`;
    let resources = this.#outbound.get(key);
    if (resources === undefined) {
      resources = translateOutbound(this.mesh, scope, caller, this.#cache);
      this.#outbound.set(key, resources);
    }
    return resources;
  }

  #scope(namespace: string) {
    let known = this.#scopes.get(namespace);
    if (known === undefined) {
      const scope = selectOutboundScope(this.mesh, namespace);
      known = { scope, asksWhoCalls: scope.virtualServices.some(asksWhoCalls) };
      this.#scopes.set(namespace, known);
    }
    return known;
  }
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
