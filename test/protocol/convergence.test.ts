import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DeltaStream } from "../../src/xds/delta-stream.ts";
import { NameTable } from "../../src/xds/name-set.ts";
import { parseDeltaRequest, parseSotwRequest } from "../../src/xds/request.ts";
import { type ProxyResources, TYPE_URL } from "../../src/xds/resource-set.ts";
import { type Protocol, ResponseEncoder } from "../../src/xds/response-encoder.ts";
import { SotwStream } from "../../src/xds/sotw-stream.ts";
import { BAD_REVISION, type ModelConfig, modelResources, parseModelResource } from "../support/model-config.ts";
import { DeltaModelProxy, type ModelProxy, SotwModelProxy } from "../support/model-proxy.ts";

const LIMITS = { maxNames: 100, maxNodeBytes: 1000 };

/** A server and a model proxy with two queues between them, which move only when the test says so. */
class Session {
  proxy: ModelProxy;
  readonly #protocol: Protocol;
  readonly #table = new NameTable();
  readonly #encoder = new ResponseEncoder({ keptBytes: 1000 });
  #resources: ProxyResources;
  #toServer: Uint8Array[] = [];
  #toProxy: Uint8Array[] = [];
  #server: {
    request(bytes: Uint8Array): void;
    change(r: ProxyResources): void;
    release(): void;
    next(): Uint8Array | null;
  };

  constructor(protocol: Protocol, config: ModelConfig) {
    this.#protocol = protocol;
    this.#resources = modelResources(config);
    this.#server = this.#newServer();
    this.proxy = this.#newProxy();
    this.proxy.start();
  }

  change(config: ModelConfig): void {
    this.#resources = modelResources(config);
    this.#server.change(this.#resources);
  }

  reconnect(): void {
    this.#toServer = [];
    this.#toProxy = [];
    this.#server = this.#newServer();
    this.proxy = this.#newProxy(this.proxy);
    this.proxy.start();
  }

  write(): boolean {
    const response = this.#server.next();
    if (response) this.#toProxy.push(response);
    return response !== null;
  }

  deliverRequest(): boolean {
    const request = this.#toServer.shift();
    if (request) this.#server.request(request);
    return request !== undefined;
  }

  deliverResponse(): boolean {
    const response = this.#toProxy.shift();
    if (response) this.proxy.receive(response);
    return response !== undefined;
  }

  /** Moves everything until nothing moves. */
  drain(check: () => void): void {
    for (let steps = 0; ; steps++) {
      assert.ok(steps < 1000, "the exchange does not come to rest");
      const moved = this.deliverRequest() || this.write() || this.deliverResponse();
      check();
      if (moved) continue;
      this.#server.release();
      if (!this.write()) return;
    }
  }

  #newServer() {
    const deps = { table: this.#table, encoder: this.#encoder, limits: LIMITS };
    if (this.#protocol === "sotw") {
      const stream = new SotwStream(deps, this.#resources);
      return {
        ...common(stream),
        request: (bytes: Uint8Array) => void stream.request(parseSotwRequest(bytes, deps.table, LIMITS)),
      };
    }
    const stream = new DeltaStream(deps, this.#resources);
    return {
      ...common(stream),
      request: (bytes: Uint8Array) => void stream.request(parseDeltaRequest(bytes, deps.table, LIMITS)),
    };

    function common(stream: SotwStream | DeltaStream) {
      return {
        change: (resources: ProxyResources) => stream.change(resources),
        release: () => stream.release(),
        next: () => stream.next()?.bytes ?? null,
      };
    }
  }

  #newProxy(before?: ModelProxy): ModelProxy {
    const send = (request: Uint8Array) => this.#toServer.push(request);
    return this.#protocol === "sotw" ? new SotwModelProxy(send, before) : new DeltaModelProxy(send, before);
  }
}

const CLUSTERS = ["c0", "c1", "c2", "c3"];
const ROUTES = ["r0", "r1", "r2"];
const LISTENERS = ["l0", "l1"];

/** Configs that are consistent: nothing refers to what is not there. */
function configs(revisions: readonly number[], ofClusters = revisions): fc.Arbitrary<ModelConfig> {
  return fc
    .record({
      clusters: fc.subarray(CLUSTERS),
      routes: fc.subarray(ROUTES),
      listeners: fc.subarray(LISTENERS),
      made: fc.array(fc.constantFrom(...ofClusters), { minLength: 4, maxLength: 4 }),
      revisions: fc.array(fc.constantFrom(...revisions), { minLength: 5, maxLength: 5 }),
      endpoints: fc.array(fc.nat(2), { minLength: 4, maxLength: 4 }),
      picks: fc.array(fc.nat(15), { minLength: 5, maxLength: 5 }),
    })
    .map(({ clusters, routes, listeners, made, revisions: drawn, endpoints, picks }) => {
      const revisionOf = (index: number) => drawn[index] ?? 0;
      const some = (names: readonly string[], mask = 0) => names.filter((_, index) => mask & (1 << index));
      return {
        clusters: Object.fromEntries(
          clusters.map((name, i) => [name, { revision: made[i] ?? 0, endpoints: endpoints[i] ?? 0 }]),
        ),
        routes: Object.fromEntries(
          routes.map((name, i) => [name, { revision: revisionOf(i), refers: some(clusters, picks[i]) }]),
        ),
        listeners: Object.fromEntries(
          listeners.map((name, i) => [name, { revision: revisionOf(3 + i), refers: some(routes, picks[3 + i]) }]),
        ),
      };
    });
}

/** `rest` lets everything that is on its way arrive. */
type Step = { readonly change: ModelConfig } | "write" | "request" | "response" | "reconnect" | "rest";

function steps(changes: fc.Arbitrary<ModelConfig>, reconnects: boolean): fc.Arbitrary<Step[]> {
  const moves = fc.constantFrom<Step>("write", "request", "response", ...(reconnects ? ["reconnect" as const] : []));
  const change = changes.map((config) => ({ change: config }));
  const rest = fc.constant<Step>("rest");
  return fc.array(
    fc.oneof({ weight: 2, arbitrary: change }, { weight: 12, arbitrary: moves }, { weight: 1, arbitrary: rest }),
    { maxLength: 80 },
  );
}

function perform(session: Session, step: Step, check: () => void): void {
  if (step === "rest") session.drain(check);
  else if (step === "write") session.write();
  else if (step === "request") session.deliverRequest();
  else if (step === "response") session.deliverResponse();
  else if (step === "reconnect") session.reconnect();
  else session.change(step.change);
  check();
}

/** What the proxy has of each type by name, as bytes; what the server would not want it to have is not in it. */
function assertConverged(proxy: ModelProxy, config: ModelConfig): void {
  const want = modelResources(config);
  const names = {
    [TYPE_URL.cluster]: null,
    [TYPE_URL.endpoint]: new Set(proxy.endpointNames),
    [TYPE_URL.listener]: null,
    [TYPE_URL.route]: new Set(proxy.routeNames),
    [TYPE_URL.secret]: new Set<string>(),
  };
  for (const typeUrl of Object.values(TYPE_URL)) {
    const expected = [...(want.get(typeUrl)?.byName ?? [])]
      .filter(([name]) => names[typeUrl]?.has(name) ?? true)
      .map(([, resource]) => parseModelResource(resource.bytes));
    const good = expected.filter(({ revision }) => revision !== BAD_REVISION);
    const rejected = new Set(expected.filter(({ revision }) => revision === BAD_REVISION).map(({ name }) => name));
    // What a rejected listener or route may still refer to is kept.
    const keeps = typeUrl !== TYPE_URL.listener && referrersRejected(config);
    const held = [...proxy.held[typeUrl].values()]
      .filter(({ name }) => !rejected.has(name) && (!keeps || good.some((wanted) => wanted.name === name)))
      .map(({ name, revision, refers }) => ({ name, revision, refers }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    assert.deepEqual(held, good, typeUrl);
  }
  if (referrersRejected(config)) return;
  assert.deepEqual([...proxy.warming], [], "clusters that still wait for their endpoints");
}

function referrersRejected({ routes, listeners }: ModelConfig): boolean {
  return [...Object.values(routes), ...Object.values(listeners)].some(({ revision }) => revision === BAD_REVISION);
}

/** Every route in use refers to clusters that are there and have been told their endpoints. */
function assertNothingDangles(proxy: ModelProxy): void {
  for (const name of proxy.routeNames) {
    for (const cluster of proxy.held[TYPE_URL.route].get(name)?.refers ?? []) {
      assert.ok(proxy.held[TYPE_URL.cluster].has(cluster), `route ${name} refers to ${cluster}, which is not there`);
      assert.ok(proxy.held[TYPE_URL.endpoint].has(cluster), `route ${name} refers to ${cluster}, which is not warm`);
    }
  }
}

const GOOD = [0, 1, 2];
const ANY = [...GOOD, BAD_REVISION];

for (const protocol of ["delta", "sotw"] as const) {
  test(`${protocol}: a proxy comes to what the server has, whatever the order of changes, answers and reconnects`, () => {
    fc.assert(
      fc.property(configs(GOOD), steps(configs(ANY), true), (first, history) => {
        const session = new Session(protocol, first);
        let config = first;
        for (const step of history) {
          perform(session, step, () => {});
          if (typeof step === "object") config = step.change;
        }
        session.drain(() => {});
        assertConverged(session.proxy, config);
      }),
      { numRuns: 1500 },
    );
  });

  test(`${protocol}: no route ever refers to a cluster that is not there or not warm, whatever else is refused`, () => {
    fc.assert(
      // A state-of-the-world server cannot know what a proxy that reconnects still has.
      fc.property(configs(GOOD), steps(configs(ANY, GOOD), protocol === "delta"), (first, history) => {
        const session = new Session(protocol, first);
        const check = () => assertNothingDangles(session.proxy);
        for (const step of history) perform(session, step, check);
        session.drain(check);
      }),
      { numRuns: 1500 },
    );
  });
}
