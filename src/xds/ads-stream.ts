import type { ServerDuplexStream } from "@grpc/grpc-js";
import type { WorkloadIdentity } from "../ca/identity.ts";
import { loggedCause } from "../ca/refusal.ts";
import type { Clock } from "../platform/clock.ts";
import { TrysailError } from "../platform/errors.ts";
import { grpcStatusOf } from "../platform/grpc-status.ts";
import type { Logger } from "../platform/log.ts";
import { outgoingMessage } from "../platform/outgoing-message.ts";
import { assertNodeMatches } from "./assert-node-matches.ts";
import { CatchUp } from "./catch-up.ts";
import type { ChangeProgress } from "./change-progress.ts";
import type { AckObserver, ConfigHandle, ConfigSource } from "./config-source.ts";
import type { ProxyNode } from "./node.ts";
import { parseNodeBytes } from "./parse-node.ts";
import type { ProxyProgress } from "./proxy-progress.ts";
import type { PushQueue } from "./push-queue.ts";
import { type ProxyResources, type ResourceSet, TYPE_URL, type TypeUrl } from "./resource-set.ts";
import type { Protocol } from "./response-encoder.ts";
import type { SendBudget } from "./send-budget.ts";
import { StrangeNames } from "./strange-names.ts";
import type { StreamState, Verdict } from "./stream-state.ts";
import { type ProxyStatus, proxyStatus } from "./sync-status.ts";
import type { XdsMetrics } from "./xds-metrics.ts";

/** A call whose messages are bytes: decoding and encoding are this module's own. */
export type AdsCall = ServerDuplexStream<Buffer, Buffer>;

/** The two protocols as a stream sees them. `R` is the request. */
export interface ProtocolKind<R> {
  readonly protocol: Protocol;
  parse(bytes: Buffer): R;
  start(resources: ProxyResources): StreamState<R>;
}

export interface AdsStreamDeps {
  readonly source: ConfigSource;
  readonly acks: AckObserver;
  readonly log: Logger;
  readonly clock: Clock;
  readonly metrics: XdsMetrics | undefined;
  readonly budget: SendBudget;
  readonly queue: PushQueue;
  readonly changes: ChangeProgress;
  readonly limits: {
    /** For the first request to come, after authentication. */
    readonly firstRequestMs: number;
    /** For the requests that a proxy sends at once when it reconnects; see `StreamState.release`. */
    readonly reconnectMs: number;
    /** For one response to be read. */
    readonly stalledWriteMs: number;
  };
  authenticate(call: AdsCall): Promise<WorkloadIdentity | null>;
  /** Told by how much what is kept of names that nothing has has grown; throws where that is too much. */
  keepsStrangeNames(grownBytes: number): void;
}

/** What one proxy was sent, a set for each type that it asked for. */
export interface SentSets {
  readonly proxy: ProxyNode;
  readonly sets: readonly ResourceSet[];
}

/** Which version of a resource a proxy has accepted last; null stands for none yet. */
export interface AcceptedVersion {
  readonly proxy: ProxyNode;
  readonly version: string | null;
}

/** What exists from a stream's first request on. */
interface Opened<R> {
  readonly proxy: ProxyNode;
  readonly handle: ConfigHandle;
  readonly state: StreamState<R>;
  readonly connectedSinceMs: number;
}

/**
 * One proxy's stream: authenticates, reads requests, writes what the protocol state has to say, one response at a
 * time. While a response waits to be written or read, changes only mark the stream, so a slow proxy skips what it
 * would have been sent in between. Whatever goes wrong ends this stream, with a status that says why, and no other.
 */
export class AdsStream<R extends { readonly node: Uint8Array | null }> {
  readonly #call: AdsCall;
  readonly #kind: ProtocolKind<R>;
  readonly #deps: AdsStreamDeps;
  readonly #onEnd: () => void;
  readonly #catchUp: CatchUp;
  readonly #strangeNames = new StrangeNames();
  #opened: Opened<R> | null = null;
  #resources: ProxyResources = new Map();
  #ended = false;
  /** A response waits for its turn, or for the network to take it. */
  #sending = false;
  /** Whether there was a moment at which it had all that there was for it. */
  #hadAll = false;
  /** What to undo when the stream ends. */
  #cancelTurn = () => {};
  #cancelTimer = () => {};
  #cancelRelease = () => {};
  #releaseBytes = () => {};

  constructor(call: AdsCall, kind: ProtocolKind<R>, deps: AdsStreamDeps, onEnd: () => void) {
    this.#call = call;
    this.#kind = kind;
    this.#deps = deps;
    this.#onEnd = onEnd;
    this.#catchUp = new CatchUp(deps.changes);
  }

  /** Serves the call until it ends; answers at once. */
  serve(): void {
    this.#call.on("cancelled", () => this.#close());
    this.#call.on("close", () => this.#close());
    this.#deps.authenticate(this.#call).then(
      (identity) => this.#listen(identity),
      (error: unknown) => this.end(error),
    );
  }

  /** Ends the stream with the status that stands for what was thrown. */
  end(error: unknown): void {
    if (this.#ended) return;
    const status = grpcStatusOf(error);
    const proxy = this.#opened?.proxy.id;
    const context = { proxy, peer: this.#call.getPeer(), code: status.code, reason: status.details };
    if (error instanceof TrysailError) this.#deps.log.info({ ...context, ...loggedCause(error) }, "xDS stream ended");
    else this.#deps.log.error({ ...context, err: error }, "xDS stream failed");
    this.#close();
    this.#call.emit("error", status);
  }

  /** Whether the proxy has said who it is, and has not gone yet. */
  get isOpen(): boolean {
    return this.#opened !== null && !this.#ended;
  }

  /** Null until the proxy has said who it is. */
  status(): ProxyStatus | null {
    const opened = this.#opened;
    if (!opened) return null;
    const { proxy, state, connectedSinceMs } = opened;
    const inSync = this.#catchUp.behindSinceMs === null && !this.#sending && state.settled;
    return proxyStatus(proxy, { protocol: this.#kind.protocol, connectedSinceMs, inSync, types: state.types });
  }

  /** Null until the proxy has asked for configuration, and of a stream for secrets alone. */
  progress(): ProxyProgress | null {
    const opened = this.#opened;
    if (!opened) return null;
    const { proxy, state, connectedSinceMs } = opened;
    const refusals = state.types.flatMap((type) => type.refusals);
    if (refusals.length === 0 && !asksForConfiguration(state)) return null;
    return { proxy, connectedSinceMs, behindSinceMs: this.#hadAll ? this.#catchUp.behindSinceMs : 0, refusals };
  }

  /** What the proxy was sent and has not been told to drop, secrets left out; null until it has said who it is. */
  sent(): SentSets | null {
    const opened = this.#opened;
    if (!opened) return null;
    const asked = opened.state.types.filter(({ typeUrl, started }) => started && typeUrl !== TYPE_URL.secret);
    return { proxy: opened.proxy, sets: asked.map((type) => type.sent) };
  }

  /** The version of a resource that the proxy has accepted; null for none yet, undefined where it never asked for it. */
  accepted(typeUrl: TypeUrl, name: string): AcceptedVersion | undefined {
    if (!this.#opened) return undefined;
    const { proxy, state } = this.#opened;
    const type = state.types.find((known) => known.typeUrl === typeUrl);
    if (type?.started !== true || !type.subscription.wants(name)) return undefined;
    return { proxy, version: type.acceptedVersion(name) };
  }

  #listen(identity: WorkloadIdentity | null): void {
    if (this.#ended) return;
    const { clock, limits } = this.#deps;
    this.#cancelTimer = clock.after(limits.firstRequestMs, () => {
      this.end(new TrysailError("invalid-argument", `no request within ${limits.firstRequestMs} ms`));
    });
    this.#call.on("data", (bytes: Buffer) => this.#guard(() => this.#read(bytes, identity)));
    this.#call.on("end", () => {
      this.#close();
      this.#call.end();
    });
  }

  #read(bytes: Buffer, identity: WorkloadIdentity | null): void {
    const request = this.#kind.parse(bytes);
    const opened = this.#opened ?? this.#open(request, identity);
    const verdict = opened.state.request(request);
    this.#deps.keepsStrangeNames(this.#strangeNames.grownTo(opened.state.types, this.#resources));
    if (verdict) this.#report(opened.proxy, verdict);
    this.#pump();
  }

  #open(request: R, identity: WorkloadIdentity | null): Opened<R> {
    if (!request.node) throw new TrysailError("invalid-argument", "the first request of a stream must hold a node");
    const proxy = parseNodeBytes(request.node);
    if (identity) assertNodeMatches(identity, proxy);
    this.#cancelTimer();
    const { source, clock, metrics, log, limits } = this.#deps;
    const handle = source.open(proxy, identity, () => this.#changed());
    this.#resources = handle.current();
    const state = this.#kind.start(this.#resources);
    this.#catchUp.begin();
    this.#opened = { proxy, handle, state, connectedSinceMs: clock.now() };
    this.#cancelRelease = clock.after(limits.reconnectMs, () => {
      state.release();
      this.#pump();
    });
    metrics?.connected(this.#kind.protocol, 1);
    log.debug({ proxy: proxy.id, protocol: this.#kind.protocol }, "proxy connected");
    return this.#opened;
  }

  #changed(): void {
    this.#catchUp.told(this.#deps.clock.now());
    this.#deps.queue.add(this.#adopt);
  }

  readonly #adopt = (): void => {
    this.#guard(() => {
      if (this.#opened !== null) this.#resources = this.#opened.handle.current();
      this.#opened?.state.change(this.#resources);
      this.#catchUp.read();
      this.#pump();
    });
  };

  /** Sends the next response once there is room for it; does nothing while one is on its way. */
  #pump(): void {
    if (this.#sending || this.#ended) return;
    this.#sending = true;
    this.#cancelTurn = this.#deps.budget.whenFree(() => this.#guard(() => this.#sendNext()));
  }

  #sendNext(): void {
    const response = this.#opened?.state.next();
    if (!response) {
      this.#sending = false;
      if (this.#opened?.state.settled) this.#noteSettled(this.#opened.state);
      return;
    }
    const { budget, clock, limits, metrics } = this.#deps;
    this.#releaseBytes = budget.take(response.bytes.length);
    this.#cancelTimer = clock.after(limits.stalledWriteMs, () => {
      this.end(new TrysailError("resource-exhausted", "the proxy does not read what it is sent"));
    });
    metrics?.pushed(response.typeUrl, response.bytes.length);
    const message = outgoingMessage(response.bytes);
    this.#call.write(message.bytes, () => {
      message.free();
      if (this.#ended) return;
      this.#cancelTimer();
      this.#releaseBytes();
      this.#sending = false;
      this.#pump();
    });
  }

  #noteSettled(state: StreamState<R>): void {
    this.#hadAll ||= asksForConfiguration(state);
    const behindSinceMs = this.#catchUp.answered();
    if (behindSinceMs !== null) this.#deps.metrics?.converged(this.#deps.clock.now() - behindSinceMs);
  }

  #report(proxy: ProxyNode, verdict: Verdict): void {
    const { acks, metrics, log } = this.#deps;
    if (verdict.kind === "acked") {
      acks.acked(proxy, verdict.typeUrl, verdict.version);
      return;
    }
    const { typeUrl, version, message } = verdict;
    metrics?.rejected(typeUrl);
    log.warn({ proxy: proxy.id, typeUrl, version, reason: message }, "proxy rejected its configuration");
    acks.rejected(proxy, typeUrl, version, message);
  }

  #guard(run: () => void): void {
    if (this.#ended) return;
    try {
      run();
    } catch (error) {
      this.end(error);
    }
  }

  #close(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#cancelTimer();
    this.#cancelRelease();
    this.#cancelTurn();
    this.#releaseBytes();
    if (this.#opened) {
      this.#opened.handle.close();
      this.#catchUp.end();
      this.#deps.acks.disconnected(this.#opened.proxy);
      this.#deps.metrics?.connected(this.#kind.protocol, -1);
    }
    this.#onEnd();
  }
}

function asksForConfiguration({ types }: Pick<StreamState<unknown>, "types">): boolean {
  return types.some(({ typeUrl, started }) => started && typeUrl !== TYPE_URL.secret);
}
