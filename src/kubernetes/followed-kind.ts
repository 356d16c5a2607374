import type { Finding } from "../mesh/finding.ts";
import type { KnownObject } from "../mesh/kinds.ts";
import type { Clock } from "../platform/clock.ts";
import type { TrysailError } from "../platform/errors.ts";
import type { Logger } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import type { KubernetesClient } from "./client.ts";
import { qualifiedResource, type ServedKind } from "./discover-kinds.ts";
import { KindStore } from "./kind-store.ts";
import type { ReadKind } from "./read-kinds.ts";
import { type ReflectorState, type ReflectorTiming, startReflector } from "./reflector.ts";
import { resourcePath } from "./resource-path.ts";

export interface FollowedKindDeps {
  readonly client: Pick<KubernetesClient, "list" | "watch">;
  readonly clock: Clock;
  readonly random: Pick<Random, "fraction">;
  readonly log: Logger;
  readonly timing?: Partial<ReflectorTiming>;
  /** `error` is what keeps it from being followed, where something does. */
  readonly metrics?: { kindChanged(kind: string, status: AccessStatus, error?: TrysailError): void };
  /** Its objects, its findings or its state changed. */
  onChange(): void;
}

type Access =
  | ReflectorState
  /** Nobody has looked for it yet. */
  | { readonly status: "unknown" }
  | { readonly status: "not-served" }
  /** Being listed for the first time. */
  | { readonly status: "starting" };

/** How far a kind can be read. */
export type AccessStatus = Access["status"];

/** One kind of a cluster: what is known of it, and whether its news arrive. */
export class FollowedKind {
  readonly kind: ReadKind;
  readonly #deps: FollowedKindDeps;
  readonly #store: KindStore;
  #served: ServedKind | undefined;
  #stopReflector: (() => void) | undefined;
  #access: Access = { status: "unknown" };
  #wasListed = false;

  constructor(kind: ReadKind, deps: FollowedKindDeps) {
    this.kind = kind;
    this.#deps = deps;
    this.#store = new KindStore({ entry: kind.entry, onChange: deps.onChange });
  }

  get access(): Access {
    return this.#access;
  }

  /** Whether all that can be known of it at first is known. */
  get isSettled(): boolean {
    if (this.#wasListed || this.#access.status === "not-served") return true;
    return this.#access.status === "forbidden" && !this.kind.required;
  }

  /** What is known stays, until a list in the new place says what there is. */
  follow(served: ServedKind): void {
    const { client, clock, random, timing = {} } = this.#deps;
    this.#stopReflector?.();
    this.#served = served;
    this.#setAccess({ status: "starting" });
    this.#stopReflector = startReflector({
      client,
      clock,
      random,
      timing,
      path: resourcePath(served),
      query: this.kind.query ?? {},
      metadataOnly: this.kind.metadataOnly === true,
      sink: {
        beginList: () => this.#beginList(),
        apply: ({ type, object }) => (type === "DELETED" ? this.#store.remove(object) : this.#store.put(object)),
        stateChanged: (state) => this.#stateChanged(state),
      },
    });
  }

  /** The API server does not serve it: there can be none. */
  setNotServed(): void {
    this.stop();
    this.#stopReflector = undefined;
    this.#setAccess({ status: "not-served" });
    this.#store.clear();
    this.#deps.onChange();
  }

  /** How the API server serves it, where it does. */
  get served(): ServedKind | undefined {
    return this.#access.status === "not-served" ? undefined : this.#served;
  }

  objects(): readonly KnownObject[] {
    return this.#store.objects();
  }

  findings(): readonly Finding[] {
    const denied = this.#denied();
    return denied === undefined ? this.#store.findings() : [denied, ...this.#store.findings()];
  }

  stop(): void {
    this.#stopReflector?.();
  }

  #setAccess(access: Access): void {
    this.#access = access;
    const error = "error" in access ? access.error : undefined;
    this.#deps.metrics?.kindChanged(this.kind.entry.kind, access.status, error);
  }

  #beginList() {
    const listing = this.#store.beginList();
    return {
      add: listing.add,
      end: () => {
        listing.end();
        this.#wasListed = true;
        this.#deps.onChange();
      },
    };
  }

  #stateChanged(state: ReflectorState): void {
    const before = this.#access.status;
    this.#setAccess(state);
    const { log } = this.#deps;
    const where = { kind: this.kind.entry.kind, status: state.status };
    if ("error" in state)
      log.warn({ ...where, reason: state.error.message }, this.#denied()?.message ?? STATE[state.status]);
    else if (before === "starting") log.debug(where, STATE.synced);
    else log.info(where, STATE.synced);
    this.#deps.onChange();
  }

  /** What is to be granted, where something is. */
  #denied(): Finding | undefined {
    const { status } = this.#access;
    if (this.#served === undefined || (status !== "forbidden" && status !== "polling")) return undefined;
    const resource = qualifiedResource(this.#served);
    const verb = status === "forbidden" ? "list" : "watch";
    const consequence =
      status === "polling"
        ? "until then they are listed every now and then, and changes come late"
        : this.#wasListed
          ? "until then what was read before stays in use"
          : this.kind.required
            ? "until then nothing is served, since without them the mesh would not be what its users wrote"
            : "until then they have no effect, the rest is served";
    return {
      severity: "error",
      code: "source-unreadable",
      message: `the control plane may not ${verb} ${resource}: grant it the verb in its ClusterRole; ${consequence}`,
    };
  }
}

const STATE: Readonly<Record<ReflectorState["status"], string>> = {
  synced: "changes in Kubernetes are followed",
  polling: "changes in Kubernetes are polled for",
  forbidden: "Kubernetes may not be read",
  absent: "Kubernetes does not serve this kind",
  failing: "Kubernetes cannot be reached; what was read before stays in use",
};
