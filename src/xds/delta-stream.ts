import type { NameTable } from "./name-set.ts";
import { PushOrder } from "./push-order.ts";
import { type DeltaRequest, type RequestLimits, tooManyNames } from "./request.ts";
import type { ProxyResources } from "./resource-set.ts";
import type { EncodedResponse } from "./response-encoder.ts";
import { type StreamDeps, type StreamState, settle, type Verdict } from "./stream-state.ts";
import { createTypeStates, type TypeState, type TypeStates, typeStateOf } from "./type-state.ts";

/**
 * The delta protocol of one stream. A request may subscribe, unsubscribe and answer a response all at once; its
 * subscriptions hold even where its nonce is stale, since no later request repeats them.
 */
export class DeltaStream implements StreamState<DeltaRequest> {
  readonly types: readonly TypeState[];
  readonly #types: TypeStates;
  readonly #order: PushOrder;
  readonly #table: NameTable;
  readonly #limits: Pick<RequestLimits, "maxNames">;

  constructor(deps: StreamDeps, resources: ProxyResources) {
    this.#types = createTypeStates("delta", deps.table);
    this.types = Object.values(this.#types);
    this.#order = new PushOrder(this.#types, "delta", deps.encoder, resources);
    this.#table = deps.table;
    this.#limits = deps.limits;
  }

  request(request: DeltaRequest): Verdict | null {
    const type = typeStateOf(this.#types, request.typeUrl);
    if (!type) return null;
    const answers = type.nonces.classify(request.nonce) === "answer";
    const verdict = answers ? settle(type, request.error) : null;
    if (type.started) this.#subscribe(type, request);
    else this.#start(type, request);
    if (request.unsubscribe.size > 0) {
      type.owe(type.subscription.remove(request.unsubscribe));
      type.forgetUnwanted();
    }
    if (type.subscription.names.size > this.#limits.maxNames) throw tooManyNames(this.#limits);
    return verdict;
  }

  change(resources: ProxyResources): void {
    this.#order.change(resources);
  }

  release(): void {
    this.#order.release();
  }

  next(): EncodedResponse | null {
    return this.#order.next();
  }

  get settled(): boolean {
    return this.#order.settled;
  }

  /** A type's first request on this stream: what the proxy kept from an earlier one is not sent again. */
  #start(type: TypeState, { subscribe, initialVersions }: DeltaRequest): void {
    type.started = true;
    const asked = type.subscription.add(subscribe);
    const wildcard = subscribe.size === 0 ? type.subscription.startLegacy() : asked.wildcard;
    type.claim(initialVersions);
    if (initialVersions.size > 0) this.#order.hold();
    const unclaimed =
      initialVersions.size === 0
        ? asked.names
        : this.#table.difference(asked.names, this.#table.of(initialVersions.keys()));
    type.owe(unclaimed);
    if (wildcard && initialVersions.size === 0) type.oweAnswer();
  }

  #subscribe(type: TypeState, { subscribe }: DeltaRequest): void {
    if (subscribe.size === 0) return;
    const asked = type.subscription.add(subscribe);
    type.owe(asked.names);
    if (asked.wildcard) type.oweAnswer();
  }
}
