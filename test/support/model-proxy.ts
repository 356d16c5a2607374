import assert from "node:assert/strict";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from "../../src/gen/envoy/service/discovery/v3/discovery_pb.ts";
import { TYPE_URL, type TypeUrl } from "../../src/xds/resource-set.ts";
import { BAD_REVISION, type ModelResource, parseModelResource } from "./model-config.ts";

/** In Envoy's words. */
function rejection(refused: readonly string[]) {
  return { code: 13, message: `Error adding/updating ${refused.map((name) => `${name}: bad revision`).join(", ")}` };
}

interface Held extends ModelResource {
  readonly version: string;
}

/**
 * A proxy that does with responses what Envoy does: applies what is good of them and rejects the rest by name,
 * subscribes to the endpoints of its clusters before it acknowledges them, warms clusters that changed until their
 * endpoints come (again), asks for listeners once its first clusters are warm, and for the routes they name.
 */
export abstract class ModelProxy {
  readonly held: Readonly<Record<TypeUrl, Map<string, Held>>>;
  /** Clusters that wait for their endpoints. */
  readonly warming = new Set<string>();
  readonly #send: (request: Uint8Array) => void;
  readonly #nonces = new Set<string>();
  protected startedListeners = false;

  constructor(send: (request: Uint8Array) => void, before?: ModelProxy) {
    this.#send = send;
    const kept = (typeUrl: TypeUrl) => new Map(before?.held[typeUrl]);
    this.held = {
      [TYPE_URL.cluster]: kept(TYPE_URL.cluster),
      [TYPE_URL.endpoint]: kept(TYPE_URL.endpoint),
      [TYPE_URL.listener]: kept(TYPE_URL.listener),
      [TYPE_URL.route]: kept(TYPE_URL.route),
      [TYPE_URL.secret]: kept(TYPE_URL.secret),
    };
    for (const name of before?.warming ?? []) this.warming.add(name);
    this.startedListeners = before?.startedListeners ?? false;
  }

  /** Takes one response. */
  abstract receive(bytes: Uint8Array): void;

  /** Sends what a new stream starts with: everything subscribed so far. */
  abstract start(): void;

  /** Names subscribed of endpoints and of routes. */
  get endpointNames(): string[] {
    return [...this.held[TYPE_URL.cluster].keys()];
  }

  get routeNames(): string[] {
    return [...new Set([...this.held[TYPE_URL.listener].values()].flatMap(({ refers }) => refers))];
  }

  protected send(request: Uint8Array): void {
    this.#send(request);
  }

  /** Applies one resource; false where it is rejected and the old one, if any, kept. */
  protected apply(typeUrl: TypeUrl, name: string, version: string, bytes: Uint8Array): boolean {
    const resource = parseModelResource(bytes);
    if (resource.revision === BAD_REVISION) return false;
    // It may have been on its way when the proxy lost interest.
    if (typeUrl === TYPE_URL.endpoint && !this.endpointNames.includes(name)) return true;
    if (typeUrl === TYPE_URL.route && !this.routeNames.includes(name)) return true;
    const before = this.held[typeUrl].get(name);
    if (typeUrl === TYPE_URL.cluster && before?.version !== version) this.warming.add(name);
    if (typeUrl === TYPE_URL.endpoint) this.warming.delete(name);
    this.held[typeUrl].set(name, { ...resource, version });
    return true;
  }

  protected drop(typeUrl: TypeUrl, name: string): void {
    // Endpoints that do not exist end the waiting for them; a cluster that is in use keeps those it has.
    if (typeUrl === TYPE_URL.endpoint) {
      this.warming.delete(name);
      return;
    }
    this.held[typeUrl].delete(name);
    if (typeUrl !== TYPE_URL.cluster) return;
    this.warming.delete(name);
    this.held[TYPE_URL.endpoint].delete(name);
  }

  protected assertFreshNonce(nonce: string): void {
    assert.ok(nonce !== "" && !this.#nonces.has(nonce), `nonce ${nonce} was used before on this stream`);
    this.#nonces.add(nonce);
  }

  protected get readyForListeners(): boolean {
    return this.warming.size === 0;
  }
}

export class DeltaModelProxy extends ModelProxy {
  readonly #subscribed: Readonly<Record<"endpoint" | "route", Set<string>>> = { endpoint: new Set(), route: new Set() };

  override start(): void {
    this.#request(TYPE_URL.cluster, [], [], true);
    this.#follow(TYPE_URL.cluster, true);
    if (!this.startedListeners) return;
    this.#request(TYPE_URL.listener, [], [], true);
    this.#follow(TYPE_URL.listener, true);
  }

  override receive(bytes: Uint8Array): void {
    const response = fromBinary(DeltaDiscoveryResponseSchema, bytes);
    this.assertFreshNonce(response.nonce);
    const typeUrl = servedType(response.typeUrl);
    const refused: string[] = [];
    for (const { name, version, resource } of response.resources) {
      if (!this.apply(typeUrl, name, version, resource?.value ?? new Uint8Array())) refused.push(name);
    }
    for (const name of response.removedResources) this.drop(typeUrl, name);
    this.#follow(typeUrl, false);
    const answer = {
      typeUrl,
      responseNonce: response.nonce,
      ...(refused.length > 0 && { errorDetail: rejection(refused) }),
    };
    this.send(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, answer)));
    this.#startListeners();
  }

  #startListeners(): void {
    if (this.startedListeners || !this.readyForListeners) return;
    this.startedListeners = true;
    this.#request(TYPE_URL.listener, [], [], true);
  }

  /** Brings the subscriptions that follow from clusters or listeners up to date. */
  #follow(typeUrl: TypeUrl, first: boolean): void {
    if (typeUrl === TYPE_URL.cluster) this.#resubscribe("endpoint", this.endpointNames, first);
    if (typeUrl === TYPE_URL.listener) this.#resubscribe("route", this.routeNames, first);
  }

  #resubscribe(type: "endpoint" | "route", wanted: readonly string[], first: boolean): void {
    const subscribed = this.#subscribed[type];
    const added = wanted.filter((name) => !subscribed.has(name));
    const removed = [...subscribed].filter((name) => !wanted.includes(name));
    for (const name of added) subscribed.add(name);
    for (const name of removed) {
      subscribed.delete(name);
      this.held[TYPE_URL[type]].delete(name);
    }
    if (added.length + removed.length > 0) this.#request(TYPE_URL[type], added, removed, first);
  }

  #request(typeUrl: TypeUrl, subscribe: string[], unsubscribe: string[], first: boolean): void {
    // Of what it still waits for, it claims no version, or it would wait forever.
    const claimed = [...this.held[typeUrl]].filter(
      ([name]) => typeUrl !== TYPE_URL.endpoint || !this.warming.has(name),
    );
    const initialResourceVersions = first
      ? Object.fromEntries(claimed.map(([name, { version }]) => [name, version]))
      : {};
    const request = { typeUrl, resourceNamesSubscribe: subscribe, resourceNamesUnsubscribe: unsubscribe };
    const message = create(DeltaDiscoveryRequestSchema, { ...request, initialResourceVersions });
    this.send(toBinary(DeltaDiscoveryRequestSchema, message));
  }
}

export class SotwModelProxy extends ModelProxy {
  readonly #last = new Map<TypeUrl, { version: string; nonce: string }>();
  readonly #asked = new Map<TypeUrl, string>();

  override start(): void {
    this.#request(TYPE_URL.cluster, []);
    if (this.endpointNames.length > 0) this.#request(TYPE_URL.endpoint, this.endpointNames);
    if (!this.startedListeners) return;
    this.#request(TYPE_URL.listener, []);
    if (this.routeNames.length > 0) this.#request(TYPE_URL.route, this.routeNames);
  }

  override receive(bytes: Uint8Array): void {
    const response = fromBinary(DiscoveryResponseSchema, bytes);
    this.assertFreshNonce(response.nonce);
    const typeUrl = servedType(response.typeUrl);
    const whole = typeUrl === TYPE_URL.cluster || typeUrl === TYPE_URL.listener;
    const refused: string[] = [];
    const named = new Set<string>();
    for (const { value } of response.resources) {
      const { name } = parseModelResource(value);
      named.add(name);
      if (!this.apply(typeUrl, name, Buffer.from(value).toString(), value)) refused.push(name);
    }
    if (whole) {
      for (const name of [...this.held[typeUrl].keys()]) if (!named.has(name)) this.drop(typeUrl, name);
    }
    if (typeUrl === TYPE_URL.cluster) this.#rerequest(TYPE_URL.endpoint, this.endpointNames, this.warming.size > 0);
    if (typeUrl === TYPE_URL.listener) this.#rerequest(TYPE_URL.route, this.routeNames, false);
    const version = refused.length === 0 ? response.versionInfo : (this.#last.get(typeUrl)?.version ?? "");
    this.#last.set(typeUrl, { version, nonce: response.nonce });
    this.#request(typeUrl, this.#namesOf(typeUrl), refused);
    if (this.startedListeners || !this.readyForListeners) return;
    this.startedListeners = true;
    this.#request(TYPE_URL.listener, []);
  }

  #namesOf(typeUrl: TypeUrl): string[] {
    if (typeUrl === TYPE_URL.endpoint) return this.endpointNames;
    return typeUrl === TYPE_URL.route ? this.routeNames : [];
  }

  #rerequest(typeUrl: TypeUrl, names: string[], anyway: boolean): void {
    for (const name of [...this.held[typeUrl].keys()]) if (!names.includes(name)) this.held[typeUrl].delete(name);
    const key = names.toSorted().join(" ");
    if (this.#asked.get(typeUrl) === key && !anyway) return;
    if (names.length > 0 || this.#asked.has(typeUrl)) this.#request(typeUrl, names);
  }

  #request(typeUrl: TypeUrl, resourceNames: string[], refused: readonly string[] = []): void {
    this.#asked.set(typeUrl, resourceNames.toSorted().join(" "));
    const { version = "", nonce = "" } = this.#last.get(typeUrl) ?? {};
    const request = { typeUrl, resourceNames, versionInfo: version, responseNonce: nonce };
    const message = create(DiscoveryRequestSchema, {
      ...request,
      ...(refused.length > 0 && { errorDetail: rejection(refused) }),
    });
    this.send(toBinary(DiscoveryRequestSchema, message));
  }
}

function servedType(typeUrl: string): TypeUrl {
  const found = Object.values(TYPE_URL).find((known) => known === typeUrl);
  assert.ok(found, `response of unknown type ${typeUrl}`);
  return found;
}
