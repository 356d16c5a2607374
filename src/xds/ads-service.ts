import type { Metadata, ServiceDefinition } from "@grpc/grpc-js";
import { shareOwner, type WorkloadIdentity } from "../ca/identity.ts";
import type { Clock } from "../platform/clock.ts";
import { TrysailError } from "../platform/errors.ts";
import { FairPlaces } from "../platform/fair-places.ts";
import { streamOfBytes } from "../platform/grpc-methods.ts";
import type { GrpcServer } from "../platform/grpc-server.ts";
import type { Logger } from "../platform/log.ts";
import { peerAddress } from "../platform/peer-address.ts";
import {
  type AcceptedVersion,
  type AdsCall,
  AdsStream,
  type AdsStreamDeps,
  type ProtocolKind,
  type SentSets,
} from "./ads-stream.ts";
import { ChangeProgress } from "./change-progress.ts";
import type { AckObserver, ConfigSource } from "./config-source.ts";
import { DeltaStream } from "./delta-stream.ts";
import { NameTable } from "./name-set.ts";
import type { ProxyProgress } from "./proxy-progress.ts";
import { createPushQueue } from "./push-queue.ts";
import { type DeltaRequest, parseDeltaRequest, parseSotwRequest, type SotwRequest } from "./request.ts";
import type { TypeUrl } from "./resource-set.ts";
import { ResponseEncoder } from "./response-encoder.ts";
import { createSendBudget } from "./send-budget.ts";
import { SotwStream } from "./sotw-stream.ts";
import type { ProxyStatus } from "./sync-status.ts";
import type { XdsMetrics } from "./xds-metrics.ts";

/** Sizes in bytes, times in milliseconds. */
export interface AdsLimits {
  /** Streams at one time, over all connections. Where there are more, the workload that has the most loses its newest. */
  readonly maxStreams: number;
  /** Resource names that one stream may hold of one type. */
  readonly maxNames: number;
  /** Names that nothing has, over all streams of a workload. */
  readonly strangeNameBytes: number;
  readonly maxNodeBytes: number;
  /** For the first request of a stream to come. */
  readonly firstRequestMs: number;
  /** For all first requests of a proxy that reconnects. */
  readonly reconnectMs: number;
  /** For a proxy to read one response. */
  readonly stalledWriteMs: number;
  /** Responses of all streams that the network has not taken yet. */
  readonly bytesInFlight: number;
  /** How long a response counts as in flight at most: slow readers must not keep others waiting. */
  readonly bytesHeldMs: number;
  /** Encoded responses kept for the next stream that needs them. */
  readonly keptResponseBytes: number;
}

export const DEFAULT_ADS_LIMITS: AdsLimits = {
  maxStreams: 10_000,
  maxNames: 100_000,
  strangeNameBytes: 16 * 1024 * 1024,
  maxNodeBytes: 256 * 1024,
  firstRequestMs: 10_000,
  reconnectMs: 1_000,
  stalledWriteMs: 60_000,
  bytesInFlight: 32 * 1024 * 1024,
  bytesHeldMs: 2_000,
  keptResponseBytes: 32 * 1024 * 1024,
};

export interface AdsDeps {
  readonly source: ConfigSource;
  readonly acks: AckObserver;
  readonly log: Logger;
  readonly clock: Clock;
  readonly metrics?: XdsMetrics;
  /** Those not given are `DEFAULT_ADS_LIMITS`. */
  readonly limits?: Partial<AdsLimits>;
  /** Who opens a stream on the TLS listener; throws `unauthenticated`. Not asked on the plaintext listener. */
  authenticate(metadata: Metadata, call: AdsCall): Promise<WorkloadIdentity | null>;
}

export interface AdsService {
  /** Adds the aggregated and the secret discovery service to both listeners. */
  register(server: Pick<GrpcServer, "addService">): void;
  /** To be called before the streams are told of a change of the mesh that was first seen at `seenAtMs`. */
  changeBegins(seenAtMs: number): void;
  /** The proxies that are connected, in the order in which they came. */
  status(): ProxyStatus[];
  /** How far each connected proxy has come, in the same order. */
  progress(): ProxyProgress[];
  /** What each connected proxy was sent, in the same order; proxies that see the same have the same sets (===). */
  sent(): SentSets[];
  /** Which version of a resource each proxy that asked for it has accepted last, in the same order. */
  accepted(typeUrl: TypeUrl, name: string): AcceptedVersion[];
  /** Ends every stream, so that its proxy looks for another control plane, and refuses new ones. */
  stop(): void;
}

/** The xDS server: whatever `source` has for a proxy reaches it, and its answers reach `acks`. */
export function createAdsService(deps: AdsDeps): AdsService {
  const limits = { ...DEFAULT_ADS_LIMITS, ...deps.limits };
  const table = new NameTable();
  const encoder = new ResponseEncoder({ keptBytes: limits.keptResponseBytes });
  const budget = createSendBudget({
    maxBytes: limits.bytesInFlight,
    holdMs: limits.bytesHeldMs,
    clock: deps.clock,
  });
  const queue = createPushQueue({ sliceMs: 30 });
  const changes = new ChangeProgress((seenAtMs) => deps.metrics?.changeConverged(deps.clock.now() - seenAtMs));
  deps.metrics?.follow(() => ({ changed: queue.size, sending: budget.waiting, bytesInFlight: budget.bytesInFlight }));
  const streams = new Set<OpenStream>();
  const places = new FairPlaces<OpenStream>({
    places: limits.maxStreams,
    onTaken: (stream) => stream.end(tooManyStreams(limits)),
  });
  const strangeNames = new Map<string, number>();
  let stopped = false;

  const sotw: ProtocolKind<SotwRequest> = {
    protocol: "sotw",
    parse: (bytes) => parseSotwRequest(bytes, table, limits),
    start: (resources) => new SotwStream({ table, encoder, limits }, resources),
  };
  const delta: ProtocolKind<DeltaRequest> = {
    protocol: "delta",
    parse: (bytes) => parseDeltaRequest(bytes, table, limits),
    start: (resources) => new DeltaStream({ table, encoder, limits }, resources),
  };

  function handler<R extends { readonly node: Uint8Array | null }>(
    kind: ProtocolKind<R>,
    authenticate: AdsStreamDeps["authenticate"],
  ) {
    const { source, acks, log, clock, metrics } = deps;
    const streamDeps: Omit<AdsStreamDeps, "keepsStrangeNames"> = {
      source,
      acks,
      log,
      clock,
      metrics,
      budget,
      queue,
      changes,
      limits,
      authenticate,
    };
    return (call: AdsCall): void => {
      let owner = "";
      let kept = 0;
      const keep = (bytes: number): void => {
        kept += bytes;
        const ofOwner = (strangeNames.get(owner) ?? 0) + bytes;
        if (ofOwner === 0) strangeNames.delete(owner);
        else strangeNames.set(owner, ofOwner);
      };
      const stream = new AdsStream(
        call,
        kind,
        {
          ...streamDeps,
          async authenticate() {
            const identity = await authenticate(call);
            // It may have ended meanwhile.
            if (!streams.has(stream)) return identity;
            owner = identity === null ? peerAddress(call) : shareOwner(identity);
            places.add(owner, stream);
            return identity;
          },
          keepsStrangeNames(grownBytes) {
            if (grownBytes === 0) return;
            keep(grownBytes);
            if ((strangeNames.get(owner) ?? 0) > limits.strangeNameBytes) throw tooManyStrangeNames();
          },
        },
        () => {
          streams.delete(stream);
          places.remove(owner, stream);
          keep(-kept);
        },
      );
      if (stopped) stream.end(stopping());
      else {
        streams.add(stream);
        stream.serve();
      }
    };
  }

  function implementation(authenticate: AdsStreamDeps["authenticate"]) {
    return { sotw: handler(sotw, authenticate), delta: handler(delta, authenticate) };
  }

  return {
    register(server) {
      const authenticated = implementation((call) => deps.authenticate(call.metadata, call));
      const anonymous = implementation(async () => null);
      for (const service of [AGGREGATED, SECRETS]) {
        server.addService("tls", service, authenticated);
        server.addService("plaintext", service, anonymous);
      }
    },
    changeBegins: (seenAtMs) => changes.begin(seenAtMs, [...streams].filter(({ isOpen }) => isOpen).length),
    status: () => [...streams].map((stream) => stream.status()).filter((status) => status !== null),
    progress: () => [...streams].map((stream) => stream.progress()).filter((progress) => progress !== null),
    sent: () => [...streams].map((stream) => stream.sent()).filter((sent) => sent !== null),
    accepted: (typeUrl, name) =>
      [...streams].map((stream) => stream.accepted(typeUrl, name)).filter((accepted) => accepted !== undefined),
    stop() {
      stopped = true;
      for (const stream of streams) stream.end(stopping());
    },
  };
}

function tooManyStrangeNames(): TrysailError {
  return new TrysailError("resource-exhausted", "too many names that nothing has");
}

type OpenStream = Pick<
  AdsStream<SotwRequest | DeltaRequest>,
  "isOpen" | "status" | "progress" | "sent" | "accepted" | "end"
>;

function stopping(): TrysailError {
  return new TrysailError("unavailable", "the control plane is stopping");
}

function tooManyStreams({ maxStreams }: AdsLimits): TrysailError {
  return new TrysailError("resource-exhausted", `more than ${maxStreams} streams`);
}

const AGGREGATED: ServiceDefinition = {
  sotw: streamOfBytes("/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"),
  delta: streamOfBytes("/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"),
};
const SECRETS: ServiceDefinition = {
  sotw: streamOfBytes("/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets"),
  delta: streamOfBytes("/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets"),
};
