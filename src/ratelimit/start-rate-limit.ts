import { Server, ServerCredentials } from "@grpc/grpc-js";
import { collectDefaultMetrics, Registry } from "prom-client";
import type { SourceConfig } from "../config.ts";
import { createKubernetesMetrics } from "../control-plane/kubernetes-metrics.ts";
import { listen, listenGrpc } from "../control-plane/listen.ts";
import { createMonitoringServer } from "../control-plane/monitoring-server.ts";
import { connectKubernetes } from "../kubernetes/connect.ts";
import { createKubernetesSource } from "../kubernetes/kubernetes-source.ts";
import { readKinds } from "../kubernetes/read-kinds.ts";
import type { Clock } from "../platform/clock.ts";
import { messageOf } from "../platform/errors.ts";
import type { ListenAddress } from "../platform/listen-address.ts";
import type { Logger } from "../platform/log.ts";
import { systemRandom } from "../platform/random.ts";
import { createFileSource } from "../sources/file-source.ts";
import { buildLimitTable } from "./limit-table.ts";
import { createMemoryCounters } from "./memory-counters.ts";
import { createRateLimitMetrics } from "./rate-limit-metrics.ts";
import { addRateLimitService } from "./rate-limit-service.ts";
import { createRedisCounters } from "./redis-counters.ts";

/** Everything `trysail ratelimit` is told. */
export interface RateLimitConfig {
  readonly source: SourceConfig;
  /** Null keeps the counts in memory. */
  readonly redisUrl: string | null;
  readonly grpc: ListenAddress;
  readonly monitoring: ListenAddress;
}

export interface RunningRateLimit {
  readonly ports: { readonly grpc: number; readonly monitoring: number };
  /** Lets the requests finish that are being answered; resolves when every port is closed. */
  stop(): Promise<void>;
}

const STOP_GRACE_MS = 2000;
/** A request holds values that callers choose, at most 4 kB long, once for each limit of the object. */
const LARGEST_REQUEST_BYTES = 1024 * 1024;

/** Starts the service that counts for all proxies: RateLimits, counts, answers, top to bottom. */
export async function startRateLimit(
  config: RateLimitConfig,
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
): Promise<RunningRateLimit> {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const kubernetes = await connectKubernetes(config.source, { clock, log });
  const source =
    kubernetes === null
      ? createFileSource({ dirs: config.source.kind === "folders" ? config.source.dirs : [], clock, log })
      : createKubernetesSource({
          ...{ client: kubernetes, clock, random: systemRandom, log },
          kinds: readKinds.filter(({ entry }) => entry.kind === "RateLimit"),
          metrics: createKubernetesMetrics(registry),
        });
  await source.start();
  let table = buildLimitTable(source.current().objects);
  source.onChange(({ objects }) => {
    table = buildLimitTable(objects);
    log.info({ rateLimits: table.size }, "RateLimits changed");
  });
  const store =
    config.redisUrl === null ? createMemoryCounters(clock) : await createRedisCounters({ url: config.redisUrl, log });
  const metrics = createRateLimitMetrics(registry, () => store.notReady() === null);
  const grpc = new Server({
    "grpc.max_receive_message_length": LARGEST_REQUEST_BYTES,
    "grpc.max_concurrent_streams": 10_000,
    "grpc.enable_channelz": 0,
  });
  addRateLimitService(grpc, { ...metrics, store, clock, table: () => table });
  const monitoring = createMonitoringServer(registry);
  monitoring.get("/live", () => ({ live: true }));
  monitoring.get("/ready", (_request, reply) => {
    const reason = store.notReady();
    return reply.code(reason === null ? 200 : 503).send({ ready: reason === null, reason });
  });

  const stop = async () => {
    await drain(grpc);
    await Promise.all([monitoring.close(), source.stop(), store.stop()]);
    kubernetes?.close();
  };
  try {
    const ports = {
      grpc: await listenGrpc((address) => bind(grpc, address), "--grpc-addr", config.grpc),
      monitoring: await listen(monitoring, "--monitoring-addr", config.monitoring),
    };
    log.info({ ports, rateLimits: table.size }, "ready");
    return { ports, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Without TLS: in a mesh, the sidecar beside it has the identity. */
function bind(grpc: Server, address: string): Promise<number> {
  const everywhere = address.startsWith(":") ? `[::]${address}` : address;
  return new Promise((resolve, reject) => {
    grpc.bindAsync(everywhere, ServerCredentials.createInsecure(), (error, port) => {
      if (error === null) resolve(port);
      else reject(new Error(`cannot listen on ${address}: ${messageOf(error)}`));
    });
  });
}

/** Proxies keep their connections for good, so they are told to go, and cut off behind the last answer or the grace. */
async function drain(grpc: Server): Promise<void> {
  const timer = setTimeout(() => grpc.forceShutdown(), STOP_GRACE_MS);
  await new Promise<void>((resolve) => grpc.tryShutdown(() => resolve()));
  clearTimeout(timer);
  grpc.forceShutdown();
}
