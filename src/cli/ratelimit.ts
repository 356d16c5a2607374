import { Command } from "commander";
import { parseAddressFlag, parseLogLevel, parseSource } from "../config.ts";
import { systemClock as clock } from "../platform/clock.ts";
import { TrysailError } from "../platform/errors.ts";
import { createLog } from "../platform/log.ts";
import { startRateLimit } from "../ratelimit/start-rate-limit.ts";

interface RateLimitFlags {
  readonly configDir: readonly string[];
  readonly kubeconfig?: string;
  readonly redisUrl?: string;
  readonly inMemory?: true;
  readonly grpcAddr: string;
  readonly monitoringAddr: string;
  readonly logLevel: string;
}

const collect = (value: string, before: string[]) => [...before, value];

/** `trysail ratelimit`: counts for all proxies, until a signal ends it. */
export function ratelimitCommand(): Command {
  return new Command("ratelimit")
    .description("count what RateLimits of scope GLOBAL limit: Envoy's rate limit service")
    .option("--config-dir <folder>", "folder with the RateLimits, followed live; repeat for several", collect, [])
    .option(
      "--kubeconfig <file>",
      "read them from a cluster, by the file's current context; in a pod its own by default",
    )
    .option("--redis-url <url>", "keep the counts in Redis: redis[s]://[[USER]:PASSWORD@]HOST[:PORT]; or REDIS_URL")
    .option("--in-memory", "keep the counts in this process: one machine only, and a restart begins anew")
    .option("--grpc-addr <host:port>", "gRPC without TLS, for the sidecar in front of it", ":8081")
    .option("--monitoring-addr <host:port>", "/metrics and /ready", ":15014")
    .option("--log-level <level>", "debug, info, warn, error or silent", "info")
    .addHelpText(
      "after",
      `
Proxies that get no answer, since Redis or this service is away, go by the failureMode of each RateLimit.
Any number of these may run beside each other on one Redis. docs/rate-limits.md tells the rest.

Examples:
  trysail ratelimit --config-dir manifests --in-memory
  REDIS_URL=rediss://:secret@redis.example.com trysail ratelimit`,
    )
    .action(ratelimit);
}

async function ratelimit(flags: RateLimitFlags): Promise<void> {
  const log = createLog(parseLogLevel(flags.logLevel));
  const running = await startRateLimit(
    {
      source: parseSource(flags, process.env),
      redisUrl: redisUrl(flags, process.env.REDIS_URL),
      grpc: parseAddressFlag("--grpc-addr", flags.grpcAddr),
      monitoring: parseAddressFlag("--monitoring-addr", flags.monitoringAddr),
    },
    { clock, log },
  );
  const signal = await new Promise<string>((resolve) => {
    for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, resolve);
  });
  log.info({ signal }, "stopping");
  await running.stop();
}

/** Counts that are lost by a restart must be asked for. */
function redisUrl({ redisUrl: flag, inMemory }: RateLimitFlags, fromEnvironment = ""): string | null {
  const url = flag ?? fromEnvironment;
  if (inMemory === true) {
    if (flag === undefined) return null;
    throw new TrysailError("invalid-argument", "--redis-url and --in-memory exclude each other: name one of the two");
  }
  if (url !== "") return url;
  throw new TrysailError(
    "invalid-argument",
    "where are the counts kept? name --redis-url (or REDIS_URL), or --in-memory",
  );
}
