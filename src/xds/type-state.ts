import type { NameSet, NameTable } from "./name-set.ts";
import { Nonces } from "./nonce.ts";
import { type Refusal, Refusals } from "./refusals.ts";
import { type EncodedResource, ResourceSet, TYPE_URL, type TypeUrl } from "./resource-set.ts";
import type { EncodedResponse, Protocol } from "./response-encoder.ts";
import { Subscription } from "./subscription.ts";
import { absentFrom, emptySet, isEmpty, stepTowards, type Update, unionOf, updateBetween, wholeOf } from "./update.ts";

/** One response about to be sent, and what the proxy has once it was. */
export interface Plan {
  readonly update: Update;
  /** The response may be shared: the update is a pure function of sets that other streams have too. */
  readonly shared: boolean;
  /** Names asked for that do not exist (delta): said to be removed, so that the proxy does not wait for them. */
  readonly missing: readonly string[];
  /** What differs from what the proxy has; less than the update, where that repeats things. */
  readonly changed: readonly EncodedResource[];
  readonly goal: ResourceSet;
}

/**
 * One type on one stream: what the proxy wants, what it was sent, what it is owed. Sent counts as had, accepted or
 * not: a proxy keeps its last good version of a rejected resource and is not sent the same bytes again, while
 * everything else goes on.
 */
export class TypeState {
  readonly typeUrl: TypeUrl;
  readonly subscription: Subscription;
  readonly nonces = new Nonces();
  /** Whether the proxy has asked for this type at all. */
  started = false;
  sentVersion = "";
  ackedVersion = "";
  /** Why the proxy rejected its last response; null once it accepts one. */
  rejection: string | null = null;
  /** Whether the resources that `refresh` was told of have not been followed by any of this type yet. */
  refreshPending = false;
  readonly #protocol: Protocol;
  /** What the proxy was sent and not told to drop. */
  #known: ResourceSet;
  /** What it had been sent before the last response. */
  #before: ResourceSet;
  /** What it had when it last accepted a response. */
  #accepted: ResourceSet;
  readonly #refusals: Refusals;
  readonly #table: NameTable;
  /** Names that were asked for and not answered yet. */
  #owed: NameSet;
  /** Names that the proxy has, and is about to wait for again. */
  readonly #refreshed = new Set<string>();
  #answerDue = false;
  /** What the last response that was not accepted held. */
  #lastChanged: readonly EncodedResource[] = [];
  #claimed: ReadonlyMap<string, string> | null = null;
  /** Names refreshed before it was known what the proxy has. */
  readonly #earlierRefreshes = new Set<string>();

  constructor(typeUrl: TypeUrl, protocol: Protocol, table: NameTable) {
    this.typeUrl = typeUrl;
    this.#protocol = protocol;
    this.#table = table;
    this.#owed = table.empty;
    this.subscription = new Subscription(typeUrl, table);
    this.#known = emptySet(typeUrl);
    this.#before = this.#known;
    this.#accepted = this.#known;
    this.#refusals = new Refusals(typeUrl);
  }

  /** The version of a resource that the proxy has accepted last; null where it has accepted none yet. */
  acceptedVersion(name: string): string | null {
    // That it has accepted what came later says nothing of what it refused before.
    const refusal = this.refusals.find(({ refused }) => refused.name === name);
    if (refusal !== undefined) return refusal.kept?.version ?? null;
    return this.#accepted.byName.get(name)?.version ?? null;
  }

  /** What the proxy was sent and not told to drop. */
  get sent(): ResourceSet {
    return this.#known;
  }

  /** What of this type the proxy refuses to use, as it was sent last. */
  get refusals(): readonly Refusal[] {
    return this.#refusals.of(this.#known.byName);
  }

  /** Whether the proxy may go on with an older version of something, and so with what that refers to. */
  get mayKeepOlder(): boolean {
    return this.refusals.some(({ kept, isNamed }) => kept !== null || !isNamed);
  }

  /** These names get an answer even if the proxy was sent them before. */
  owe(names: NameSet): void {
    this.#owed = this.#table.sum(this.#owed, names);
  }

  oweEverything(): void {
    this.refresh([...this.#known.byName.values()]);
  }

  /** The next answer is due even if it is empty. */
  oweAnswer(): void {
    this.#answerDue = true;
  }

  get owesNames(): boolean {
    return this.#owed.size + this.#refreshed.size > 0;
  }

  /** Whether the proxy waits for an answer to a request of its own. */
  get owesAnswer(): boolean {
    return this.owesNames || this.#answerDue;
  }

  /** What the proxy says it has from an earlier stream: believed where the version is ours. */
  claim(versions: ReadonlyMap<string, string>): void {
    if (versions.size > 0) this.#claimed = versions;
    else this.#earlierRefreshes.clear();
  }

  /** To be called when the subscription shrinks: the proxy forgets what it no longer wants. */
  forgetUnwanted(): void {
    this.#known = this.subscription.select(this.#known);
    this.#owed = this.subscription.wanted(this.#owed);
    for (const name of this.#refreshed) if (!this.subscription.wants(name)) this.#refreshed.delete(name);
    if (this.#lastIsMoot()) this.rejection = null;
  }

  /** These were sent again under another type's rules (a cluster was), so the proxy asks for them anew. */
  refresh(resources: readonly EncodedResource[]): void {
    if (!this.started || this.#claimed) {
      for (const { name } of resources) this.#earlierRefreshes.add(name);
      return;
    }
    this.refreshPending = true;
    for (const { name } of resources) if (this.#known.byName.has(name)) this.#refreshed.add(name);
  }

  /** Whether the proxy has yet to be sent something of `set`, or told that something is gone. */
  differsFrom(set: ResourceSet | undefined): boolean {
    if (!this.started || !set) return false;
    const target = this.#targetOf(set);
    const update = updateBetween(this.#known, target);
    return this.#tellsRemovals ? !isEmpty(update) : update.resources.length > 0;
  }

  /**
   * The next response, or null where there is nothing to say or the last one was not answered yet. A type that has
   * no set at all is not ready: its subscribers wait. `removals` "later" keeps what `set` no longer has.
   */
  plan(set: ResourceSet | undefined, removals: "now" | "later"): Plan | null {
    if (!this.started || !set || this.nonces.awaiting) return null;
    const target = this.#targetOf(set);
    const goal = stepTowards(this.#known, removals === "now" ? target : unionOf(this.#known, target));
    const change = updateBetween(this.#known, goal);
    const tells = this.#tellsRemovals ? !isEmpty(change) : change.resources.length > 0;
    if (!tells && !this.owesAnswer) {
      this.#known = goal;
      return null;
    }
    return { goal, changed: change.resources, ...this.#answer(goal, change, target) };
  }

  commit(plan: Plan, response: EncodedResponse): void {
    this.#before = this.#known;
    this.#known = plan.goal;
    this.#owed = this.#table.empty;
    this.#refreshed.clear();
    this.#answerDue = false;
    this.refreshPending = false;
    this.#lastChanged = plan.update.resources;
    this.sentVersion = plan.goal.version;
    this.nonces.sent(response);
  }

  /** The proxy's answer to the response on its way. */
  answered(error: string | null): void {
    this.nonces.answered();
    this.rejection = this.#lastIsMoot() ? null : error;
    if (error === null) this.#refusals.accepted(this.#lastChanged);
    else this.#refusals.refused(this.#lastChanged, this.#before.byName, error);
    this.#before = this.#known;
    if (error === null) {
      this.ackedVersion = this.sentVersion;
      this.#accepted = this.#known;
      this.#lastChanged = [];
    }
  }

  /** Whether the proxy no longer wants anything that the last response changed. */
  #lastIsMoot(): boolean {
    return this.#lastChanged.length > 0 && !this.#lastChanged.some(({ name }) => this.subscription.wants(name));
  }

  /** In state-of-the-world, clusters and listeners come complete; what is missing is thereby removed. */
  get #comesWhole(): boolean {
    return this.#protocol === "sotw" && (this.typeUrl === TYPE_URL.cluster || this.typeUrl === TYPE_URL.listener);
  }

  get #tellsRemovals(): boolean {
    return this.#protocol === "delta" || this.#comesWhole;
  }

  #answer(goal: ResourceSet, change: Update, target: ResourceSet): Pick<Plan, "update" | "shared" | "missing"> {
    // Private keys are not kept beyond the write.
    const shared = this.typeUrl !== TYPE_URL.secret;
    if (this.#comesWhole) return { update: wholeOf(goal), shared, missing: [] };
    // What the proxy has and is removed from it is named by the change already.
    const missing =
      this.#protocol === "delta" ? absentFrom(target, this.#owed).filter((name) => !this.#known.byName.has(name)) : [];
    const again = this.#again(goal);
    if (again.length === 0) return { update: change, shared, missing };
    if (again.length + change.resources.length === goal.byName.size && change.removed.length === 0) {
      return { update: wholeOf(goal), shared, missing };
    }
    return { update: { ...change, resources: [...change.resources, ...again] }, shared: false, missing };
  }

  /** What is owed and did not change. */
  #again(goal: ResourceSet): EncodedResource[] {
    const again: EncodedResource[] = [];
    if (this.#known.byName.size === 0) return again;
    for (const name of new Set([...this.#owed.names, ...this.#refreshed])) {
      const resource = goal.byName.get(name);
      if (resource && this.#known.byName.get(name)?.version === resource.version) again.push(resource);
    }
    return again;
  }

  #targetOf(set: ResourceSet): ResourceSet {
    const target = this.subscription.select(set);
    this.#settleClaim(target);
    return target;
  }

  #settleClaim(target: ResourceSet): void {
    const claimed = this.#claimed;
    this.#claimed = null;
    if (!claimed) return;
    let equal = claimed.size === target.byName.size;
    const kept: EncodedResource[] = [];
    for (const [name, version] of claimed) {
      if (!this.subscription.wants(name)) {
        equal = false;
        continue;
      }
      const ours = target.byName.get(name);
      if (ours?.version !== version) equal = false;
      kept.push(ours?.version === version ? ours : { name, version, bytes: NO_BYTES });
    }
    this.#known = equal ? target : new ResourceSet(this.typeUrl, kept);
    this.#accepted = this.#known;
    if (equal) {
      this.sentVersion = target.version;
      this.ackedVersion = target.version;
    }
    for (const name of this.#earlierRefreshes) if (this.#known.byName.has(name)) this.#refreshed.add(name);
    this.#earlierRefreshes.clear();
  }
}

/** Stands for bytes that only the proxy has; never sent, since its version is never ours. */
const NO_BYTES = new Uint8Array(0);

export type TypeStates = Readonly<Record<TypeUrl, TypeState>>;

export function createTypeStates(protocol: Protocol, table: NameTable): TypeStates {
  return {
    [TYPE_URL.cluster]: new TypeState(TYPE_URL.cluster, protocol, table),
    [TYPE_URL.endpoint]: new TypeState(TYPE_URL.endpoint, protocol, table),
    [TYPE_URL.listener]: new TypeState(TYPE_URL.listener, protocol, table),
    [TYPE_URL.route]: new TypeState(TYPE_URL.route, protocol, table),
    [TYPE_URL.secret]: new TypeState(TYPE_URL.secret, protocol, table),
  };
}

/** The type that a request names; undefined for one that is not served here. */
export function typeStateOf(types: TypeStates, typeUrl: string): TypeState | undefined {
  return Object.values(types).find((type) => type.typeUrl === typeUrl);
}
