import { type ProxyResources, type ResourceSet, TYPE_URL, type TypeUrl } from "./resource-set.ts";
import type { EncodedResponse, Protocol, ResponseEncoder } from "./response-encoder.ts";
import type { Plan, TypeState, TypeStates } from "./type-state.ts";
import { unionOf } from "./update.ts";

/**
 * Decides what a stream sends next, so that traffic never refers to what is not there yet or no longer there
 * (Envoy's xDS protocol, "Eventual consistency considerations"). A change goes out as a round: clusters, endpoints,
 * listeners, routes, and only when the proxy has accepted the last two, what is gone from clusters and endpoints.
 *
 * - At most one response of each type awaits its answer; what changes meanwhile is merged into the next one.
 * - Listeners and routes wait for the answer to the clusters, because Envoy asks for the endpoints of new clusters
 *   before it gives it, and those are sent first.
 * - What a proxy asks for of its own accord is answered without that wait.
 * - Changes that come during a round wait for its end, except for endpoints and secrets, which depend on nothing.
 */
export class PushOrder {
  readonly #types: TypeStates;
  readonly #protocol: Protocol;
  readonly #encoder: ResponseEncoder;
  #latest: ProxyResources;
  /** What this round brings the proxy to. */
  #round: ProxyResources;
  /** Nothing of the round is left to send or to answer. */
  #resting = true;
  #held = false;
  /** The proxy may have endpoints that it has not said it has yet. */
  #reconnected = false;

  constructor(types: TypeStates, protocol: Protocol, encoder: ResponseEncoder, resources: ProxyResources) {
    this.#types = types;
    this.#protocol = protocol;
    this.#encoder = encoder;
    this.#latest = resources;
    this.#round = resources;
  }

  /**
   * Keeps strictly to the order, and removes nothing until the proxy has asked for listeners and routes, or until
   * `release` is called: it came with clusters from an earlier stream, and what it still routes to them is only about
   * to be asked for.
   */
  hold(): void {
    this.#held = true;
    this.#reconnected = true;
  }

  release(): void {
    this.#held = false;
  }

  change(resources: ProxyResources): void {
    this.#latest = resources;
    if (this.#resting) this.#round = resources;
  }

  /** Whether the proxy was sent, and has answered, all there is for it; call it when `next` has answered null. */
  get settled(): boolean {
    return this.#round === this.#latest && Object.values(this.#types).every((type) => !type.nonces.awaiting);
  }

  /** The next response, taken as sent; null while there is nothing to send or the proxy must answer first. */
  next(): EncodedResponse | null {
    for (;;) {
      const response = this.#nextOfRound();
      this.#resting = !response && !this.#roundOpen();
      if (!this.#resting || this.#round === this.#latest) return response;
      this.#round = this.#latest;
    }
  }

  #nextOfRound(): EncodedResponse | null {
    return this.#secrets() ?? this.#clusters() ?? this.#endpoints() ?? this.#listeners() ?? this.#routes();
  }

  #secrets(): EncodedResponse | null {
    return this.#send(TYPE_URL.secret, this.#latest.get(TYPE_URL.secret), "now");
  }

  #clusters(): EncodedResponse | null {
    return this.#send(TYPE_URL.cluster, this.#round.get(TYPE_URL.cluster), this.#mayBreak() ? "now" : "later");
  }

  #endpoints(): EncodedResponse | null {
    const clusters = this.#types[TYPE_URL.cluster];
    const referred = clusters.nonces.awaiting || clusters.differsFrom(this.#round.get(TYPE_URL.cluster));
    const mayBreak = this.#round === this.#latest && !referred && this.#mayBreak();
    return this.#send(TYPE_URL.endpoint, this.#endpointSet(), mayBreak ? "now" : "later");
  }

  /** The latest endpoints, and those that only the clusters of this round still need. */
  #endpointSet(): ResourceSet | undefined {
    const latest = this.#latest.get(TYPE_URL.endpoint);
    const ofRound = this.#round.get(TYPE_URL.endpoint);
    return latest && ofRound ? unionOf(ofRound, latest) : latest;
  }

  #listeners(): EncodedResponse | null {
    if (!this.#made() && !this.#answersAtOnce(TYPE_URL.listener)) return null;
    return this.#send(TYPE_URL.listener, this.#round.get(TYPE_URL.listener), "now");
  }

  #routes(): EncodedResponse | null {
    const behindListeners = this.#types[TYPE_URL.listener].differsFrom(this.#round.get(TYPE_URL.listener));
    if ((behindListeners || !this.#made()) && !this.#answersAtOnce(TYPE_URL.route)) return null;
    // A proxy that refused a changed listener goes on with the old one, and with the routes that it names.
    const removals = this.#types[TYPE_URL.listener].mayKeepOlder ? "later" : "now";
    return this.#send(TYPE_URL.route, this.#round.get(TYPE_URL.route), removals);
  }

  /**
   * Whether the proxy asked for this type itself. Envoy asks when it is ready for the answer, except when it
   * reconnects: then it asks for all types at once, and they are answered in order.
   */
  #answersAtOnce(typeUrl: TypeUrl): boolean {
    return !this.#held && this.#types[typeUrl].owesAnswer;
  }

  /** Whether the proxy has the clusters of this round and was sent the endpoints that it asked for on their account. */
  #made(): boolean {
    return !this.#types[TYPE_URL.cluster].nonces.awaiting && !this.#types[TYPE_URL.endpoint].owesNames;
  }

  /** Whether nothing that the proxy uses can refer to what this round removes. */
  #mayBreak(): boolean {
    if (this.#held && !REFERRING.every((typeUrl) => this.#types[typeUrl].started)) return false;
    return REFERRING.every((typeUrl) => {
      const type = this.#types[typeUrl];
      return !type.nonces.awaiting && !type.mayKeepOlder && !type.differsFrom(this.#round.get(typeUrl));
    });
  }

  #roundOpen(): boolean {
    return ORDERED.some((typeUrl) => this.#types[typeUrl].nonces.awaiting);
  }

  #send(typeUrl: TypeUrl, set: ResourceSet | undefined, removals: "now" | "later"): EncodedResponse | null {
    const type = this.#types[typeUrl];
    const plan = type.plan(set, removals);
    if (!plan) return null;
    const response = this.#encode(type, plan);
    type.commit(plan, response);
    // Envoy warms a changed cluster anew and waits for its endpoints, even where those are as they were. An
    // endpoint resource has the name of its cluster.
    const endpoints = this.#types[TYPE_URL.endpoint];
    if (typeUrl === TYPE_URL.cluster && (endpoints.started || this.#reconnected)) endpoints.refresh(plan.changed);
    return response;
  }

  #encode(type: TypeState, plan: Plan): EncodedResponse {
    const response = plan.shared
      ? this.#encoder.shared(this.#protocol, plan.update)
      : this.#encoder.once(this.#protocol, plan.update);
    const asItIs = plan.missing.length === 0 && !type.nonces.isUsed(response);
    return asItIs ? response : this.#encoder.renewed(response, plan.missing);
  }
}

const REFERRING = [TYPE_URL.listener, TYPE_URL.route] as const;
const ORDERED = [TYPE_URL.cluster, ...REFERRING] as const;
