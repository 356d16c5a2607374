import { isIP } from "node:net";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import {
  APP_METRICS_ENV,
  APP_PROBERS_ENV,
  type AppHttpProber,
  type AppMetrics,
  type AppProber,
  type AppProbers,
  LIFECYCLE_TASKS_ENV,
  type LifecycleTask,
  type LifecycleTasks,
} from "../injection/pod-contract.ts";
import { TrysailError } from "../platform/errors.ts";
import { type BootstrapConfig, parseBootstrapConfig } from "./bootstrap-config.ts";
import type { NodeIdentity } from "./node-identity.ts";

/** The variables that the webhook sets on the init container. */
export type Environment = Readonly<Record<string, string | undefined>>;

export interface PodEnvironment {
  readonly node: Omit<NodeIdentity, "labels" | "annotations">;
  readonly probers: AppProbers;
  readonly appMetrics?: AppMetrics;
  /** Of an image without a shell. */
  readonly lifecycleTasks?: LifecycleTasks;
  readonly proxyConfig: BootstrapConfig;
  /** Of the proxy's container. */
  readonly memoryLimitBytes?: number;
  /** The file with the user's own part of the bootstrap. */
  readonly overrideFile?: string;
}

/** @throws TrysailError `failed-precondition` naming the variable that is missing or cannot be read. */
export function parsePodEnvironment(env: Environment): PodEnvironment {
  const ipAddress = required(env, "INSTANCE_IP");
  if (isIP(ipAddress) === 0) throw unreadable("INSTANCE_IP", "an IP address");
  const proxyConfig = parseProxyConfig(env.PROXY_CONFIG);
  const memoryLimitBytes = parseBytes(env, MEMORY_LIMIT_ENV);
  const appMetrics = parseAppMetrics(env[APP_METRICS_ENV]);
  const lifecycleTasks = parseLifecycleTasks(env[LIFECYCLE_TASKS_ENV]);
  return {
    node: {
      name: required(env, "POD_NAME"),
      namespace: required(env, "POD_NAMESPACE"),
      serviceAccount: required(env, "SERVICE_ACCOUNT"),
      ipAddress,
      ...(env.PROXY_TYPE === "router" ? { type: "router" as const } : {}),
      metadata: {
        INSTANCE_IPS: env.INSTANCE_IPS || ipAddress,
        ...metadataFrom(env),
        // What the control plane does for single proxies it finds here, as Istio's does.
        PROXY_CONFIG: proxyConfig,
      },
      domainSuffix: "cluster.local",
    },
    probers: parseProbers(env[APP_PROBERS_ENV]),
    proxyConfig: parseBootstrapConfig(proxyConfig, "PROXY_CONFIG"),
    ...(appMetrics === undefined ? {} : { appMetrics }),
    ...(lifecycleTasks === undefined ? {} : { lifecycleTasks }),
    ...(memoryLimitBytes === undefined ? {} : { memoryLimitBytes }),
    ...(env.ISTIO_BOOTSTRAP_OVERRIDE ? { overrideFile: env.ISTIO_BOOTSTRAP_OVERRIDE } : {}),
  };
}

/** The environment variable with the limit of the proxy's container. */
const MEMORY_LIMIT_ENV = "PROXY_MEMORY_LIMIT";

function parseBytes(env: Environment, name: string): number | undefined {
  const text = env[name];
  if (!text || text === "0") return undefined;
  if (!/^[0-9]{1,15}$/.test(text)) throw unreadable(name, "a number of bytes");
  return Number(text);
}

/** Whether any of the pod's addresses is of IPv6. */
export function hasIpv6(env: Environment): boolean {
  return `${env.INSTANCE_IPS ?? ""},${env.INSTANCE_IP ?? ""}`.includes(":");
}

function required(env: Environment, name: string): string {
  const value = env[name];
  if (value) return value;
  const message = `the environment variable ${name} is not set; trysail init runs as the container that the webhook adds`;
  throw new TrysailError("failed-precondition", message);
}

function unreadable(name: string, expected: string): TrysailError {
  return new TrysailError("failed-precondition", `the environment variable ${name} is not ${expected}`);
}

/** `ISTIO_META_X=text` and `ISTIO_METAJSON_X=json` become the metadata X. */
export function metadataFrom(env: Environment): JsonObject {
  const entries = Object.entries(env).flatMap(([name, value = ""]): [string, JsonValue][] => {
    if (name.startsWith("ISTIO_META_")) return [[name.slice("ISTIO_META_".length), value]];
    if (name.startsWith("ISTIO_METAJSON_")) return [[name.slice("ISTIO_METAJSON_".length), parseJson(name, value)]];
    return [];
  });
  return Object.fromEntries(entries);
}

function parseProxyConfig(text: string | undefined): JsonObject {
  if (!text) return {};
  const config = parseJson("PROXY_CONFIG", text);
  if (!isObject(config)) throw unreadable("PROXY_CONFIG", "a JSON object");
  return config;
}

function parseAppMetrics(text: string | undefined): AppMetrics | undefined {
  if (!text) return undefined;
  const json = parseJson(APP_METRICS_ENV, text);
  const { port, path, scheme } = isObject(json) ? json : {};
  if (typeof port === "number" && typeof path === "string" && (scheme === "http" || scheme === "https")) {
    return { port, path, scheme };
  }
  throw unreadable(APP_METRICS_ENV, "a port, path and scheme as JSON");
}

function parseLifecycleTasks(text: string | undefined): LifecycleTasks | undefined {
  if (!text) return undefined;
  const json = parseJson(LIFECYCLE_TASKS_ENV, text);
  const { postStart, preStop } = isObject(json) ? json : {};
  const tasks = { preStop: parseTask(preStop) };
  return postStart === undefined ? tasks : { ...tasks, postStart: parseTask(postStart) };
}

function parseTask(value: JsonValue | undefined): LifecycleTask {
  const { kind, holdSeconds, untilIdle, isGateway } = isObject(value) ? value : {};
  if (kind === "wait") return { kind };
  if (kind === "drain" && typeof holdSeconds === "number" && typeof untilIdle === "boolean") {
    return { kind, holdSeconds: Math.round(holdSeconds), untilIdle, ...(isGateway === true ? { isGateway } : {}) };
  }
  throw unreadable(LIFECYCLE_TASKS_ENV, "tasks of a proxy's hooks as JSON");
}

function parseProbers(text: string | undefined): AppProbers {
  if (!text) return {};
  const probers = parseJson(APP_PROBERS_ENV, text);
  if (!isObject(probers)) throw unreadable(APP_PROBERS_ENV, "a JSON object");
  return Object.fromEntries(Object.entries(probers).map(([path, prober]) => [path, parseProber(prober)]));
}

function parseProber(value: JsonValue): AppProber {
  const prober = isObject(value) ? value : {};
  const { timeoutSeconds, periodSeconds } = prober;
  if (!isOptional("number", timeoutSeconds) || !isOptional("number", periodSeconds)) throw badProbers();
  const timing = {
    ...(typeof timeoutSeconds === "number" ? { timeoutSeconds } : {}),
    ...(typeof periodSeconds === "number" ? { periodSeconds } : {}),
  };
  const { httpGet, tcpSocket, grpc } = prober;
  if (isObject(httpGet)) return { httpGet: parseHttpGet(httpGet), ...timing };
  if (isObject(tcpSocket)) return { tcpSocket: { port: parseProberPort(tcpSocket) }, ...timing };
  if (!isObject(grpc) || !isOptional("string", grpc.service)) throw badProbers();
  const service = typeof grpc.service === "string" ? { service: grpc.service } : {};
  return { grpc: { port: parseProberPort(grpc), ...service }, ...timing };
}

function parseHttpGet(httpGet: JsonObject): AppHttpProber["httpGet"] {
  const { path, scheme, httpHeaders } = httpGet;
  if (!isOptional("string", path) || !isOptional("string", scheme)) throw badProbers();
  return {
    port: parseProberPort(httpGet),
    ...(typeof path === "string" ? { path } : {}),
    ...(typeof scheme === "string" ? { scheme } : {}),
    httpHeaders: (Array.isArray(httpHeaders) ? httpHeaders : []).flatMap((header) => {
      const { name, value } = isObject(header) ? header : {};
      return typeof name === "string" && typeof value === "string" ? [{ name, value }] : [];
    }),
  };
}

function parseProberPort({ port }: JsonObject): number {
  if (typeof port !== "number") throw badProbers();
  return port;
}

function badProbers(): TrysailError {
  return unreadable(APP_PROBERS_ENV, "a map of HTTP, TCP and gRPC probes with numeric ports");
}

function isOptional(type: "string" | "number", value: JsonValue | undefined): boolean {
  return value === undefined || typeof value === type;
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parseJson(name: string, text: string): JsonValue {
  try {
    return JSON.parse(text);
  } catch {
    throw unreadable(name, "JSON");
  }
}
