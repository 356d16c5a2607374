import { isDeepStrictEqual } from "node:util";
import { compareText } from "../mesh/object.ts";
import type { ObjectSet } from "../mesh/object-set.ts";
import type { Clock } from "../platform/clock.ts";
import { messageOf, TrysailError } from "../platform/errors.ts";
import type { Logger } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import { createListeners, type Listeners } from "../sources/listeners.ts";
import type { Source } from "../sources/source.ts";
import type { KubernetesClient } from "./client.ts";
import { discoverKinds, type ServedKind } from "./discover-kinds.ts";
import { FollowedKind, type FollowedKindDeps } from "./followed-kind.ts";
import { type ReadKind, readKinds } from "./read-kinds.ts";
import type { ReflectorTiming } from "./reflector.ts";

export interface KubernetesSourceDeps {
  readonly client: Pick<KubernetesClient, "list" | "watch" | "getDocument">;
  readonly clock: Clock;
  readonly random: Pick<Random, "fraction">;
  readonly log: Logger;
  /** All that the mesh reads, unless given. */
  readonly kinds?: readonly ReadKind[];
  readonly timing?: Partial<ReflectorTiming>;
  readonly metrics?: FollowedKindDeps["metrics"];
  /** Between looks for kinds whose CRDs are not installed. */
  readonly discoveryMs?: number;
  /** Goes on asking an API server that refuses the credentials at the start, as it may come to know them. */
  readonly isPatient?: boolean;
}

/** Events that arrive together make one change. */
const GATHER_MS = 5;
const DISCOVERY_MS = 10_000;
const DISCOVERY_RETRY_MS = 500;
/** An API server that has just started may not know its CRDs yet. */
const ABSENCES_BEFORE_GONE = 2;

/** What the mesh reads, from Kubernetes' API: listed, then watched. docs/kubernetes.md says what, and what happens in faults. */
export function createKubernetesSource(deps: KubernetesSourceDeps): KubernetesSource {
  return new ClusterSource(deps);
}

export interface KubernetesSource extends Source {
  /** The kinds that the start still waits for, each with how far it is. */
  pending(): readonly string[];
  /** Kinds that the API server serves, by those that are read. */
  served(): readonly ServedKind[];
}

class ClusterSource implements KubernetesSource {
  readonly #deps: KubernetesSourceDeps;
  /** In order of their names. */
  readonly #kinds: readonly FollowedKind[];
  readonly #listeners: Listeners;
  /** How often in a row a kind was not found. */
  readonly #absences = new Map<FollowedKind, number>();
  #current: ObjectSet = Object.freeze({ objects: [], findings: [] });
  #cancelPublish: (() => void) | undefined;
  #cancelDiscovery: (() => void) | undefined;
  #begun: { resolve(): void; reject(reason: TrysailError): void } | undefined;
  #started = false;
  #stopped = false;

  constructor(deps: KubernetesSourceDeps) {
    this.#deps = deps;
    this.#listeners = createListeners(deps.log);
    this.#kinds = (deps.kinds ?? readKinds)
      .toSorted((a, b) => compareText(a.entry.kind, b.entry.kind))
      .map((kind) => new FollowedKind(kind, { ...deps, onChange: () => this.#changed() }));
  }

  /** Waits for an API server that cannot be reached; rejects where it refuses the credentials, unless it is to be patient. */
  async start(): Promise<void> {
    const complete = new Promise<void>((resolve, reject) => {
      this.#begun = { resolve, reject };
    });
    for (const followed of this.#kinds) {
      const { entry, resource } = followed.kind;
      if (resource !== undefined) followed.follow({ entry, resource, apiVersion: entry.apiVersions[0] });
    }
    void this.#discover();
    try {
      await complete;
    } catch (error) {
      await this.stop();
      throw error;
    }
    this.#begun = undefined;
    this.#publish();
    this.#started = true;
  }

  current(): ObjectSet {
    return this.#current;
  }

  pending(): readonly string[] {
    const waiting = this.#kinds.filter(({ isSettled }) => !isSettled);
    return waiting.map(({ kind, access }) => `${kind.entry.kind} (${access.status})`);
  }

  served(): readonly ServedKind[] {
    return this.#kinds.flatMap(({ served }) => served ?? []);
  }

  onChange(listener: (set: ObjectSet) => void): () => void {
    return this.#listeners.add(listener);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelPublish?.();
    this.#cancelDiscovery?.();
    for (const followed of this.#kinds) followed.stop();
  }

  /** Finds the kinds of CRDs that are not followed yet, or not found any more; looks again later. */
  async #discover(): Promise<void> {
    const { client, log, discoveryMs = DISCOVERY_MS, isPatient = false } = this.#deps;
    let nextMs = discoveryMs;
    const missing = this.#kinds.filter(({ kind, access }) => kind.resource === undefined && isMissing(access.status));
    if (missing.length > 0) {
      try {
        const served = await discoverKinds(
          client,
          missing.map(({ kind }) => kind.entry),
        );
        if (this.#stopped) return;
        for (const followed of missing) {
          const found = served.find(({ entry }) => entry === followed.kind.entry);
          if (found !== undefined) followed.follow(found);
          else this.#countAbsence(followed);
          if (found !== undefined) this.#absences.delete(followed);
        }
      } catch (thrown) {
        if (this.#stopped) return;
        const isRefused = thrown instanceof TrysailError && thrown.code === "unauthenticated";
        if (isRefused && !isPatient) this.#begun?.reject(thrown);
        log.warn({ reason: messageOf(thrown) }, "looking for Istio's kinds in Kubernetes failed");
        if (!this.#started && !isRefused) nextMs = Math.min(DISCOVERY_RETRY_MS, discoveryMs);
      }
    }
    this.#cancelDiscovery = this.#deps.clock.after(nextMs, () => void this.#discover());
  }

  #countAbsence(followed: FollowedKind): void {
    const absences = (this.#absences.get(followed) ?? 0) + 1;
    this.#absences.set(followed, absences);
    const wasThere = followed.access.status === "absent";
    if (followed.access.status === "not-served" || (wasThere && absences < ABSENCES_BEFORE_GONE)) return;
    const { kind } = followed.kind.entry;
    this.#deps.log.info({ kind }, "Kubernetes does not serve this kind: it is looked for again every now and then");
    followed.setNotServed();
  }

  #changed(): void {
    if (this.#begun !== undefined && this.#kinds.every(({ isSettled }) => isSettled)) this.#begun.resolve();
    if (!this.#started || this.#stopped || this.#cancelPublish !== undefined) return;
    this.#cancelPublish = this.#deps.clock.after(GATHER_MS, () => {
      this.#cancelPublish = undefined;
      this.#publish();
    });
  }

  #publish(): void {
    const before = this.#current;
    const objects = this.#kinds.flatMap((followed) => followed.objects());
    const findings = this.#kinds.flatMap((followed) => followed.findings());
    const same = objects.length === before.objects.length && objects.every((object, i) => object === before.objects[i]);
    if (same && isDeepStrictEqual(before.findings, findings)) return;
    this.#current = Object.freeze({
      objects: same ? before.objects : Object.freeze(objects),
      findings: Object.freeze(findings),
    });
    if (!this.#started) return;
    this.#listeners.tell(this.#current);
  }
}

function isMissing(status: FollowedKind["access"]["status"]): boolean {
  return status === "unknown" || status === "not-served" || status === "absent";
}
