import { type AuthenticatorConfig, parseAuthenticatorConfig } from "./ca/caller/authenticator-config.ts";
import { TOKEN_AUDIENCE } from "./ca/jwt/token-issuer.ts";
import { isDnsLabel, isDnsSubdomain } from "./ca/x509/dns-names.ts";
import { parseSigners, type SignerFlags, type SignersConfig } from "./kubernetes/signer-config.ts";
import { SYSTEM_NAMESPACE } from "./mesh/mesh-config.ts";
import { messageOf, TrysailError } from "./platform/errors.ts";
import { type ListenAddress, parseListenAddress } from "./platform/listen-address.ts";
import type { LogLevel } from "./platform/log.ts";
import { TRUST_BUNDLE_MAP } from "./platform/trust-bundle.ts";

/** Everything `trysail serve` is told, checked and complete; later code trusts it. */
export interface ServeConfig extends SignersConfig {
  readonly source: SourceConfig;
  /** Where the control plane itself lives. */
  readonly systemNamespace: string;
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
  /** Connections at one time on each port that speaks TLS, and those of one address among them. */
  readonly maxConnections: number;
  readonly maxConnectionsPerAddress: number;
  readonly trustDomain: string;
  readonly workloadCertTtlMs: number;
  /** The proofs of identity that are taken, in the order in which they are asked. */
  readonly authenticators: readonly AuthenticatorConfig[];
  /** A token must be for one of these. */
  readonly tokenAudiences: readonly string[];
  /** Accounts (`NAMESPACE/NAME`) of node agents, which may ask for the identities of the pods on their node. */
  readonly trustedNodeAccounts: readonly string[];
  /** A folder with the key that signs, followed live; null where the mesh makes its own root. */
  readonly caDir: string | null;
  readonly rootTtlMs: number;
  /** How long a new root is published at least before it signs. */
  readonly rootPropagationMs: number;
  /** ConfigMaps in which each namespace of a cluster is to have the trust bundle. */
  readonly rootCertificateMaps: readonly string[];
  /** How long proxies may take to come back behind a start, before anything is concluded from who is there. */
  readonly proxyReconnectMs: number;
  /** Behind which a connection is asked to move on, give or take a tenth: replicas that came later get their share. */
  readonly maxConnectionAgeMs: number;
  /** Names beyond the usual ones under which clients reach the control plane. */
  readonly servingNames: readonly string[];
  /** Whether what became of objects is written on them, in a cluster. */
  readonly writeStatus: boolean;
  /** Whether labelled Secrets of the system namespace name other clusters of the mesh. */
  readonly readsRemoteClusters: boolean;
  /** YAML with what the operator decides about injected pods; null for the defaults. */
  readonly injectionConfigFile: string | null;
  readonly logLevel: LogLevel;
}

/** Where the mesh's objects are read from. */
export type SourceConfig =
  | { readonly kind: "folders"; readonly dirs: readonly string[] }
  | { readonly kind: "kubeconfig"; readonly path: string }
  /** The cluster that this process is a pod of. */
  | { readonly kind: "in-cluster"; readonly host: string; readonly port: string };

/** The flags of `trysail serve` as the command line gives them. */
export interface ServeFlags extends SignerFlags {
  readonly configDir: readonly string[];
  readonly kubeconfig?: string;
  readonly stateDir?: string;
  readonly grpcAddr: string;
  readonly httpsAddr: string;
  readonly plaintextAddr?: string;
  readonly monitoringAddr: string;
  readonly httpAddr: string;
  readonly maxConnections: number;
  readonly maxConnectionsPerAddress: number;
  readonly trustDomain: string;
  readonly workloadCertTtl: number;
  readonly authenticator: readonly string[];
  readonly tokenAudience: readonly string[];
  readonly trustedNodeAccount: readonly string[];
  readonly caDir?: string;
  readonly rootTtl: number;
  readonly rootPropagation: number;
  readonly istioRootCert?: boolean;
  readonly servingName: readonly string[];
  readonly status: boolean;
  readonly multiCluster?: boolean;
  readonly injectionConfig?: string;
  readonly logLevel: string;
}

const LOG_LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error", "silent"];
const SHORTEST_TTL_MS = 5000;
const DAY_MS = 86_400_000;
const ISTIO_MAP = "istio-ca-root-cert";
/** Several times what Envoy waits between two attempts (src/init/discovery.ts). */
const PROXY_RECONNECT_MS = 15_000;
/** A proxy that comes back shows its token anew, so that none outlives its own for long. */
const MAX_CONNECTION_AGE_MS = 30 * 60_000;

/** What the kubelet tells every pod. */
export interface ServeEnvironment {
  readonly KUBERNETES_SERVICE_HOST?: string;
  readonly KUBERNETES_SERVICE_PORT?: string;
  /** As the chart's Deployment sets it from the pod's own metadata. */
  readonly POD_NAMESPACE?: string;
}

/** Throws `invalid-argument` naming the flag. */
export function parseServeConfig(flags: ServeFlags, environment: ServeEnvironment): ServeConfig {
  if (flags.stateDir === undefined) {
    throw new TrysailError("invalid-argument", "--state-dir is missing: name a folder for the mesh's keys");
  }
  const logLevel = parseLogLevel(flags.logLevel);
  if (flags.workloadCertTtl < SHORTEST_TTL_MS || flags.workloadCertTtl > 90 * DAY_MS) {
    throw new TrysailError("invalid-argument", "--workload-cert-ttl must be between 5s and 90d");
  }
  if (flags.rootTtl < 4 * flags.workloadCertTtl) {
    throw new TrysailError("invalid-argument", "--root-ttl must be at least four times --workload-cert-ttl");
  }
  if (flags.maxConnectionsPerAddress > flags.maxConnections) {
    const [one, all] = [flags.maxConnectionsPerAddress, flags.maxConnections];
    const message = `--max-connections-per-address (${one}) is more than --max-connections (${all})`;
    throw new TrysailError("invalid-argument", message);
  }
  const source = parseSource(flags, environment);
  return Object.freeze({
    source,
    systemNamespace: environment.POD_NAMESPACE || SYSTEM_NAMESPACE,
    stateDir: flags.stateDir,
    grpc: parseAddressFlag("--grpc-addr", flags.grpcAddr),
    https: parseAddressFlag("--https-addr", flags.httpsAddr),
    plaintext: flags.plaintextAddr === undefined ? null : parseAddressFlag("--plaintext-addr", flags.plaintextAddr),
    monitoring: parseAddressFlag("--monitoring-addr", flags.monitoringAddr),
    http: parseAddressFlag("--http-addr", flags.httpAddr),
    maxConnections: flags.maxConnections,
    maxConnectionsPerAddress: flags.maxConnectionsPerAddress,
    trustDomain: flags.trustDomain,
    workloadCertTtlMs: flags.workloadCertTtl,
    ...identityOf(flags, source.kind !== "folders"),
    caDir: flags.caDir ?? null,
    ...parseSigners(flags, { isCluster: source.kind !== "folders", hasCaDir: flags.caDir !== undefined }),
    rootTtlMs: flags.rootTtl,
    rootPropagationMs: flags.rootPropagation,
    rootCertificateMaps: flags.istioRootCert === true ? [TRUST_BUNDLE_MAP, ISTIO_MAP] : [TRUST_BUNDLE_MAP],
    proxyReconnectMs: PROXY_RECONNECT_MS,
    maxConnectionAgeMs: MAX_CONNECTION_AGE_MS,
    servingNames: flags.servingName,
    writeStatus: flags.status,
    readsRemoteClusters: flags.multiCluster === true,
    injectionConfigFile: flags.injectionConfig ?? null,
    logLevel,
  });
}

/** Throws `invalid-argument`. */
export function parseLogLevel(text: string): LogLevel {
  const known = LOG_LEVELS.find((level) => level === text);
  if (known !== undefined) return known;
  throw new TrysailError("invalid-argument", `--log-level ${text} is none of ${LOG_LEVELS.join(", ")}`);
}

/** Throws `invalid-argument` where no one source is named and none is at hand. */
export function parseSource(
  { configDir, kubeconfig }: Pick<ServeFlags, "configDir" | "kubeconfig">,
  environment: ServeEnvironment,
): SourceConfig {
  const { KUBERNETES_SERVICE_HOST: host = "", KUBERNETES_SERVICE_PORT: port = "443" } = environment;
  if (kubeconfig !== undefined) {
    if (configDir.length === 0) return { kind: "kubeconfig", path: kubeconfig };
    throw new TrysailError("invalid-argument", "--config-dir and --kubeconfig exclude each other: name one of the two");
  }
  if (configDir.length > 0) return { kind: "folders", dirs: configDir };
  if (host !== "") return { kind: "in-cluster", host, port };
  const message =
    "there is nothing to serve: name a folder of manifests (--config-dir) or a cluster (--kubeconfig), or run in one";
  throw new TrysailError("invalid-argument", message);
}

function identityOf(
  flags: ServeFlags,
  isCluster: boolean,
): Pick<ServeConfig, "authenticators" | "tokenAudiences" | "trustedNodeAccounts"> {
  const usual = ["mesh-token", ...(isCluster ? ["token-review"] : []), "client-certificate"];
  const wrong = flags.trustedNodeAccount.find((account) => {
    const [namespace = "", name = "", ...more] = account.split("/");
    return !isDnsLabel(namespace) || !isDnsSubdomain(name) || more.length > 0;
  });
  if (wrong !== undefined) {
    throw new TrysailError("invalid-argument", `--trusted-node-account is NAMESPACE/NAME, and this is not: ${wrong}`);
  }
  if (flags.tokenAudience.includes("")) throw new TrysailError("invalid-argument", "--token-audience is empty");
  return {
    authenticators: (flags.authenticator.length > 0 ? flags.authenticator : usual).map(parseAuthenticatorConfig),
    tokenAudiences: flags.tokenAudience.length > 0 ? flags.tokenAudience : [TOKEN_AUDIENCE],
    trustedNodeAccounts: flags.trustedNodeAccount,
  };
}

/** Throws `invalid-argument` naming the flag. */
export function parseAddressFlag(flag: string, text: string): ListenAddress {
  try {
    return parseListenAddress(text);
  } catch (error) {
    throw new TrysailError("invalid-argument", `${flag}: ${messageOf(error)}`);
  }
}
