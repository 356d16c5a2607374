import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { ProxyConfig } from "../mesh/istio/mesh-proxy-config.ts";
import { TrysailError } from "../platform/errors.ts";

/** The fields of ProxyConfig that the bootstrap is built from. */
export type BootstrapConfig = Pick<
  ProxyConfig,
  | "discoveryAddress"
  | "serviceCluster"
  | "tracingServiceName"
  | "statsdUdpAddress"
  | "tracing"
  | "envoyAccessLogService"
  | "envoyMetricsService"
  | "runtimeValues"
  | "proxyStatsMatcher"
  | "statsEvictionInterval"
  | "statsCompression"
  | "statusPort"
  | "extraStatTags"
>;

/**
 * Reads what the webhook wrote, having checked all of it by its schema. By hand, because every pod waits for this and
 * loading a schema library takes longer than all the rest.
 *
 * @throws TrysailError `failed-precondition` naming `source` and the field.
 */
export function parseBootstrapConfig(json: JsonObject, source: string): BootstrapConfig {
  const root = new Fields(json, source, "");
  const matcher = root.object("proxyStatsMatcher");
  const tracing = root.object("tracing");
  return {
    discoveryAddress: root.text("discoveryAddress"),
    serviceCluster: root.text("serviceCluster"),
    tracingServiceName: root.text("tracingServiceName"),
    statsdUdpAddress: root.text("statsdUdpAddress"),
    statsEvictionInterval: root.text("statsEvictionInterval"),
    statsCompression: root.flag("statsCompression"),
    statusPort: root.port("statusPort"),
    extraStatTags: root.texts("extraStatTags"),
    runtimeValues: root.scalars("runtimeValues"),
    proxyStatsMatcher: matcher && {
      inclusionPrefixes: matcher.texts("inclusionPrefixes"),
      inclusionSuffixes: matcher.texts("inclusionSuffixes"),
      inclusionRegexps: matcher.texts("inclusionRegexps"),
    },
    tracing: tracing && {
      zipkin: address(tracing.object("zipkin")),
      datadog: address(tracing.object("datadog")),
      tlsSettings: tlsSettings(tracing.object("tlsSettings")),
    },
    envoyAccessLogService: remoteService(root.object("envoyAccessLogService")),
    envoyMetricsService: remoteService(root.object("envoyMetricsService")),
  };
}

function address(fields: Fields | undefined) {
  return fields && { address: fields.text("address") };
}

function remoteService(fields: Fields | undefined) {
  return fields && { address: fields.text("address"), tlsSettings: tlsSettings(fields.object("tlsSettings")) };
}

function tlsSettings(fields: Fields | undefined) {
  return (
    fields && {
      mode: fields.oneOf("mode", ["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"]),
      clientCertificate: fields.text("clientCertificate"),
      privateKey: fields.text("privateKey"),
      caCertificates: fields.text("caCertificates"),
      subjectAltNames: fields.texts("subjectAltNames"),
      sni: fields.text("sni"),
      insecureSkipVerify: fields.flag("insecureSkipVerify"),
    }
  );
}

class Fields {
  readonly #json: JsonObject;
  readonly #source: string;
  readonly #path: string;

  constructor(json: JsonObject, source: string, path: string) {
    this.#json = json;
    this.#source = source;
    this.#path = path;
  }

  text(name: string): string | undefined {
    return this.#read(name, "a text", (value) => (typeof value === "string" ? value : undefined));
  }

  flag(name: string): boolean | undefined {
    return this.#read(name, "true or false", (value) => (typeof value === "boolean" ? value : undefined));
  }

  port(name: string): number | undefined {
    const isPort = (value: JsonValue) =>
      typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 65_535;
    return this.#read(name, "a port", (value) => (isPort(value) ? Number(value) : undefined));
  }

  oneOf<T extends string>(name: string, choices: readonly T[]): T | undefined {
    return this.#read(name, `one of ${choices.join(", ")}`, (value) => choices.find((choice) => choice === value));
  }

  texts(name: string): string[] | undefined {
    return this.#read(name, "a list of texts", (value) =>
      Array.isArray(value) && value.every((item) => typeof item === "string") ? value : undefined,
    );
  }

  scalars(name: string): Record<string, string | number | boolean> | undefined {
    return this.#read(name, "a map of texts", (value) => {
      if (!isObject(value)) return undefined;
      const entries = Object.entries(value).flatMap(([key, item]): [string, string | number | boolean][] =>
        typeof item === "string" || typeof item === "number" || typeof item === "boolean" ? [[key, item]] : [],
      );
      return entries.length === Object.keys(value).length ? Object.fromEntries(entries) : undefined;
    });
  }

  object(name: string): Fields | undefined {
    return this.#read(name, "an object", (value) =>
      isObject(value) ? new Fields(value, this.#source, `${this.#path}${name}.`) : undefined,
    );
  }

  #read<T>(name: string, expected: string, read: (value: JsonValue) => T | undefined): T | undefined {
    const value = Object.hasOwn(this.#json, name) ? this.#json[name] : undefined;
    if (value === undefined || value === null) return undefined;
    const found = read(value);
    if (found !== undefined) return found;
    throw new TrysailError("failed-precondition", `${this.#source}: field ${this.#path}${name} is not ${expected}`);
  }
}

function isObject(value: JsonValue): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
