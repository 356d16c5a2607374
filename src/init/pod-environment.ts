import { isIP } from "node:net";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { APP_PROBERS_ENV, type AppProber, type AppProbers } from "../injection/pod-contract.ts";
import { TrysailError } from "../platform/errors.ts";
import type { NodeIdentity } from "./node-identity.ts";

/** The variables that the webhook sets on the init container. */
export type Environment = Readonly<Record<string, string | undefined>>;

export interface PodEnvironment {
  readonly node: Omit<NodeIdentity, "labels" | "annotations">;
  readonly probers: AppProbers;
  /** From PROXY_CONFIG. */
  readonly discoveryAddress?: string;
}

/** @throws TrysailError `failed-precondition` naming the variable that is missing or cannot be read. */
export function parsePodEnvironment(env: Environment): PodEnvironment {
  const ipAddress = required(env, "INSTANCE_IP");
  if (isIP(ipAddress) === 0) throw unreadable("INSTANCE_IP", "an IP address");
  const discoveryAddress = parseProxyConfig(env.PROXY_CONFIG);
  return {
    node: {
      name: required(env, "POD_NAME"),
      namespace: required(env, "POD_NAMESPACE"),
      serviceAccount: required(env, "SERVICE_ACCOUNT"),
      ipAddress,
      metadata: { INSTANCE_IPS: env.INSTANCE_IPS || ipAddress, ...metadataFrom(env) },
      domainSuffix: "cluster.local",
    },
    probers: parseProbers(env[APP_PROBERS_ENV]),
    ...(discoveryAddress === undefined ? {} : { discoveryAddress }),
  };
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
function metadataFrom(env: Environment): JsonObject {
  const entries = Object.entries(env).flatMap(([name, value = ""]): [string, JsonValue][] => {
    if (name.startsWith("ISTIO_META_")) return [[name.slice("ISTIO_META_".length), value]];
    if (name.startsWith("ISTIO_METAJSON_")) return [[name.slice("ISTIO_METAJSON_".length), parseJson(name, value)]];
    return [];
  });
  return Object.fromEntries(entries);
}

function parseProxyConfig(text: string | undefined): string | undefined {
  if (!text) return undefined;
  const config = parseJson("PROXY_CONFIG", text);
  if (!isObject(config)) throw unreadable("PROXY_CONFIG", "a JSON object");
  const { discoveryAddress } = config;
  if (discoveryAddress === undefined) return undefined;
  if (typeof discoveryAddress !== "string") throw unreadable("PROXY_CONFIG", "valid: discoveryAddress must be a text");
  return discoveryAddress;
}

function parseProbers(text: string | undefined): AppProbers {
  if (!text) return {};
  const probers = parseJson(APP_PROBERS_ENV, text);
  if (!isObject(probers)) throw unreadable(APP_PROBERS_ENV, "a JSON object");
  return Object.fromEntries(Object.entries(probers).map(([path, prober]) => [path, parseProber(prober)]));
}

function parseProber(value: JsonValue): AppProber {
  const { httpGet, timeoutSeconds } = isObject(value) ? value : {};
  const { path, port, scheme, httpHeaders } = isObject(httpGet) ? httpGet : {};
  const isValid =
    typeof port === "number" &&
    isOptional("string", path) &&
    isOptional("string", scheme) &&
    isOptional("number", timeoutSeconds);
  if (!isValid) throw unreadable(APP_PROBERS_ENV, "a map of HTTP probes with numeric ports");
  return {
    httpGet: {
      port,
      ...(typeof path === "string" ? { path } : {}),
      ...(typeof scheme === "string" ? { scheme } : {}),
      httpHeaders: (Array.isArray(httpHeaders) ? httpHeaders : []).flatMap((header) => {
        const { name, value } = isObject(header) ? header : {};
        return typeof name === "string" && typeof value === "string" ? [{ name, value }] : [];
      }),
    },
    ...(typeof timeoutSeconds === "number" ? { timeoutSeconds } : {}),
  };
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
