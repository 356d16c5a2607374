import { setImmediate as othersTurn } from "node:timers/promises";
import type { MeshService } from "../mesh/mesh-service.ts";
import { onceFor } from "../platform/once-for.ts";
import { type CostedType, type CostShare, costShares } from "../translate/resource-cost.ts";
import type { SentSets } from "../xds/ads-stream.ts";
import { type EncodedResource, type ResourceSet, TYPE_URL } from "../xds/resource-set.ts";
import { shortTypeName } from "../xds/sync-status.ts";

export interface CostViewDeps {
  /** What each connected proxy was sent, secrets left out; proxies that see the same have the same sets (===). */
  sent(): readonly SentSets[];
  services(): readonly Pick<MeshService, "kind" | "namespace" | "name" | "hostname">[];
}

/** How many of each type, by its short name (`cluster`, `endpoint`, `listener`, `route`). */
type Counts = Readonly<Record<string, number>>;

/** What one object costs the proxies that are connected. */
export interface ObjectCost {
  /** What several objects share, or none asked for, has an empty kind and name. */
  readonly object: { readonly kind: string; readonly namespace: string; readonly name: string };
  /** Proxies that were sent something on its account. */
  readonly proxies: number;
  readonly counts: Counts;
  /** Of what it brought about, each thing once. */
  readonly bytes: number;
  /** The same for every proxy that was sent it. */
  readonly bytesAtProxies: number;
}

/** What one proxy was sent, as it stands now. */
export interface ProxyCost {
  readonly proxy: string;
  readonly namespace: string;
  readonly counts: Counts;
  readonly bytes: number;
}

export interface CostView {
  /** The most expensive first. */
  objects(): Promise<ObjectCost[]>;
  proxies(): ProxyCost[];
}

/** How long one piece of the work holds the event loop, in ms. */
const SLICE_MS = 5;

/**
 * `/debug/cost`. Nothing is counted unless somebody asks, and then a little at a time between pushes; what was read of a
 * resource is kept for as long as the resource is.
 */
export function createCostView({ sent, services }: CostViewDeps): CostView {
  const known = new WeakMap<EncodedResource, readonly CostShare[]>();
  let running: Promise<ObjectCost[]> | null = null;

  async function count(): Promise<ObjectCost[]> {
    const turns = createTurns();
    const totals = new Map<string, Total>();
    for (const view of viewsOf(sent())) {
      const clusterOwners = new Map<string, string>();
      const seen = new Set<string>();
      for (const { typeUrl, byName } of view.sets) {
        if (typeUrl === TYPE_URL.secret) continue;
        for (const resource of byName.values()) {
          const shares =
            typeUrl === TYPE_URL.endpoint
              ? [assignmentShare(resource, clusterOwners)]
              : (known.get(resource) ?? (await read(typeUrl, resource, turns)));
          if (typeUrl === TYPE_URL.cluster) clusterOwners.set(resource.name, shares[0]?.owner ?? "");
          for (const share of shares) {
            const total = totals.get(share.owner) ?? emptyTotal();
            totals.set(share.owner, total);
            if (!seen.has(share.owner)) total.proxies += view.proxies;
            seen.add(share.owner);
            addShare(total, share, resource, { type: shortTypeName(typeUrl), proxies: view.proxies });
          }
          if (turns.isOver()) await turns.next();
        }
      }
    }
    const byHost = new Map(services().map((service) => [service.hostname, service]));
    return mergeByObject([...totals].map(([owner, total]) => ({ object: objectOf(owner, byHost), ...total })));
  }

  async function read(typeUrl: CostedType, resource: EncodedResource, turns: Turns): Promise<readonly CostShare[]> {
    const byOwner = new Map<string, CostShare>();
    for (const { owner, bytes, count } of costShares(typeUrl, resource)) {
      const before = byOwner.get(owner);
      byOwner.set(owner, { owner, bytes: bytes + (before?.bytes ?? 0), count: count + (before?.count ?? 0) });
      if (turns.isOver()) await turns.next();
    }
    const shares = [...byOwner.values()];
    known.set(resource, shares);
    return shares;
  }

  return {
    objects() {
      // Whoever asks meanwhile gets the same answer: work does not add up.
      running ??= count().finally(() => {
        running = null;
      });
      return running;
    },
    proxies: () =>
      sent().map(({ proxy, sets }) => ({
        proxy: proxy.id,
        namespace: proxy.namespace,
        counts: Object.fromEntries(sets.map(({ typeUrl, byName }) => [shortTypeName(typeUrl), byName.size])),
        bytes: sets.reduce((sum, set) => sum + sizeOf(set), 0),
      })),
  };
}

/** Endpoints are there for whom their cluster is. */
function assignmentShare({ name, bytes }: EncodedResource, clusterOwners: ReadonlyMap<string, string>): CostShare {
  return { owner: clusterOwners.get(name) ?? "", bytes: bytes.length, count: 1 };
}

interface Total {
  proxies: number;
  bytes: number;
  bytesAtProxies: number;
  readonly counts: Record<string, number>;
  /** The resources that are in `bytes` and `counts`: each once, however many views it is in. */
  readonly counted: Set<EncodedResource>;
}

function emptyTotal(): Total {
  return { proxies: 0, bytes: 0, bytesAtProxies: 0, counts: {}, counted: new Set() };
}

function addShare(
  total: Total,
  { bytes, count }: CostShare,
  resource: EncodedResource,
  { type, proxies }: { readonly type: string; readonly proxies: number },
): void {
  total.bytesAtProxies += bytes * proxies;
  if (total.counted.has(resource)) return;
  total.counted.add(resource);
  total.bytes += bytes;
  if (count > 0) total.counts[type] = (total.counts[type] ?? 0) + count;
}

/** Proxies that were sent the same sets, together. */
function viewsOf(sent: readonly SentSets[]): { sets: readonly ResourceSet[]; proxies: number }[] {
  const numbers = new Map<ResourceSet, number>();
  const views = new Map<string, { sets: readonly ResourceSet[]; proxies: number }>();
  for (const { sets } of sent) {
    for (const set of sets) if (!numbers.has(set)) numbers.set(set, numbers.size);
    const key = sets.map((set) => numbers.get(set)).join();
    const view = views.get(key) ?? { sets, proxies: 0 };
    view.proxies++;
    views.set(key, view);
  }
  return [...views.values()];
}

const sizeOf = onceFor(({ byName }: ResourceSet): number => {
  let size = 0;
  for (const { bytes } of byName.values()) size += bytes.length;
  return size;
});

type Services = ReadonlyMap<string, Pick<MeshService, "kind" | "namespace" | "name">>;

function objectOf(owner: string, byHost: Services): ObjectCost["object"] {
  const [, , , , , namespace, kind, name] = owner.split("/");
  if (namespace !== undefined && kind !== undefined && name !== undefined) {
    return { kind: kind.replaceAll(/(?:^|-)([a-z])/g, (_, letter: string) => letter.toUpperCase()), namespace, name };
  }
  const service = byHost.get(owner);
  return service === undefined
    ? { kind: "", namespace: "", name: "" }
    : { kind: service.kind, namespace: service.namespace, name: service.name };
}

/** A ServiceEntry may have several hosts. */
function mergeByObject(rows: readonly (Total & Pick<ObjectCost, "object">)[]): ObjectCost[] {
  const merged = new Map<string, ObjectCost>();
  for (const { object, proxies, bytes, bytesAtProxies, counts } of rows) {
    const key = `${object.kind} ${object.namespace}/${object.name}`;
    const before = merged.get(key);
    merged.set(key, {
      object,
      proxies: Math.max(proxies, before?.proxies ?? 0),
      counts: sumOf(counts, before?.counts ?? {}),
      bytes: bytes + (before?.bytes ?? 0),
      bytesAtProxies: bytesAtProxies + (before?.bytesAtProxies ?? 0),
    });
  }
  return [...merged.values()].sort((a, b) => b.bytesAtProxies - a.bytesAtProxies);
}

function sumOf(a: Counts, b: Counts): Counts {
  const types = new Set([...Object.keys(a), ...Object.keys(b)]);
  return Object.fromEntries([...types].sort().map((type) => [type, (a[type] ?? 0) + (b[type] ?? 0)]));
}

interface Turns {
  isOver(): boolean;
  /** Resolves when everything else has had its turn. */
  next(): Promise<void>;
}

function createTurns(): Turns {
  let until = performance.now() + SLICE_MS;
  return {
    isOver: () => performance.now() > until,
    async next() {
      await othersTurn();
      until = performance.now() + SLICE_MS;
    },
  };
}
