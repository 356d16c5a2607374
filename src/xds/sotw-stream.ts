import { PushOrder } from "./push-order.ts";
import { type RequestLimits, type SotwRequest, tooManyNames } from "./request.ts";
import type { ProxyResources } from "./resource-set.ts";
import type { EncodedResponse } from "./response-encoder.ts";
import { type StreamDeps, type StreamState, settle, type Verdict } from "./stream-state.ts";
import { createTypeStates, type TypeState, type TypeStates, typeStateOf } from "./type-state.ts";

/**
 * The state-of-the-world protocol of one stream. Clusters and listeners are sent whole, the other types as what
 * changed or was newly asked for. Requests for types that are not served here are ignored, as Envoy expects of
 * extensions that a server does not know.
 */
export class SotwStream implements StreamState<SotwRequest> {
  readonly types: readonly TypeState[];
  readonly #types: TypeStates;
  readonly #order: PushOrder;
  readonly #limits: Pick<RequestLimits, "maxNames">;

  constructor(deps: StreamDeps, resources: ProxyResources) {
    this.#types = createTypeStates("sotw", deps.table);
    this.types = Object.values(this.#types);
    this.#order = new PushOrder(this.#types, "sotw", deps.encoder, resources);
    this.#limits = deps.limits;
  }

  request(request: SotwRequest): Verdict | null {
    const type = typeStateOf(this.#types, request.typeUrl);
    if (!type) return null;
    const nonce = type.nonces.classify(request.nonce);
    // A stale request accepts or rejects nothing, and is not answered, since another response of the type is on its
    // way. Its names hold nevertheless: they are what the proxy wants by now.
    const verdict = nonce === "answer" ? settle(type, request.error) : null;
    if (request.names.size > this.#limits.maxNames) throw tooManyNames(this.#limits);
    const asked = type.subscription.replace(request.names);
    if (!type.started || asked.wildcard) type.oweAnswer();
    type.started = true;
    type.owe(asked.names);
    type.forgetUnwanted();
    // Envoy re-requests the endpoints of a cluster that was sent again with the same names and the same nonce.
    if (nonce === "repeated" && asked.names.size === 0 && type.refreshPending) type.oweEverything();
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
}
