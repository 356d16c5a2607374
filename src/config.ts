import { messageOf, TrysailError } from "./platform/errors.ts";
import { type ListenAddress, parseListenAddress } from "./platform/listen-address.ts";
import type { LogLevel } from "./platform/log.ts";

/** Everything `trysail serve` is told, checked and complete; later code trusts it. */
export interface ServeConfig {
  readonly configDirs: readonly string[];
  readonly stateDir: string;
  /** TLS: ADS, SDS, and the certificate service. */
  readonly grpc: ListenAddress;
  /** TLS: admission webhooks and the certificate endpoint. */
  readonly https: ListenAddress;
  /** ADS without TLS or identity, for tests; null is off. */
  readonly plaintext: ListenAddress | null;
  readonly monitoring: ListenAddress;
  /** Readiness and debug pages. */
  readonly http: ListenAddress;
  readonly trustDomain: string;
  readonly workloadCertTtlMs: number;
  /** Names beyond the usual ones under which clients reach the control plane. */
  readonly servingNames: readonly string[];
  /** YAML with what the operator decides about injected pods; null for the defaults. */
  readonly injectionConfigFile: string | null;
  readonly logLevel: LogLevel;
}

/** The flags of `trysail serve` as the command line gives them. */
export interface ServeFlags {
  readonly configDir: readonly string[];
  readonly stateDir?: string;
  readonly grpcAddr: string;
  readonly httpsAddr: string;
  readonly plaintextAddr?: string;
  readonly monitoringAddr: string;
  readonly httpAddr: string;
  readonly trustDomain: string;
  readonly workloadCertTtl: number;
  readonly servingName: readonly string[];
  readonly injectionConfig?: string;
  readonly logLevel: string;
}

const LOG_LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error", "silent"];
const SHORTEST_TTL_MS = 5000;
const DAY_MS = 86_400_000;

/** Throws `invalid-argument` naming the flag. */
export function parseServeConfig(flags: ServeFlags): ServeConfig {
  if (flags.configDir.length === 0) {
    throw new TrysailError("invalid-argument", "--config-dir is missing: name a folder of manifests to serve");
  }
  if (flags.stateDir === undefined) {
    throw new TrysailError("invalid-argument", "--state-dir is missing: name a folder for the mesh's keys");
  }
  const logLevel = LOG_LEVELS.find((level) => level === flags.logLevel);
  if (logLevel === undefined) {
    throw new TrysailError("invalid-argument", `--log-level ${flags.logLevel} is none of ${LOG_LEVELS.join(", ")}`);
  }
  if (flags.workloadCertTtl < SHORTEST_TTL_MS || flags.workloadCertTtl > 90 * DAY_MS) {
    throw new TrysailError("invalid-argument", "--workload-cert-ttl must be between 5s and 90d");
  }
  return Object.freeze({
    configDirs: flags.configDir,
    stateDir: flags.stateDir,
    grpc: addressOf("--grpc-addr", flags.grpcAddr),
    https: addressOf("--https-addr", flags.httpsAddr),
    plaintext: flags.plaintextAddr === undefined ? null : addressOf("--plaintext-addr", flags.plaintextAddr),
    monitoring: addressOf("--monitoring-addr", flags.monitoringAddr),
    http: addressOf("--http-addr", flags.httpAddr),
    trustDomain: flags.trustDomain,
    workloadCertTtlMs: flags.workloadCertTtl,
    servingNames: flags.servingName,
    injectionConfigFile: flags.injectionConfig ?? null,
    logLevel,
  });
}

function addressOf(flag: string, text: string): ListenAddress {
  try {
    return parseListenAddress(text);
  } catch (error) {
    throw new TrysailError("invalid-argument", `${flag}: ${messageOf(error)}`);
  }
}
