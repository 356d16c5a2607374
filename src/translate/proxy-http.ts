import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { Compile } from "typebox/compile";
import { conform } from "../mesh/conform.ts";
import { headerFormatProblem } from "../mesh/header-format.ts";
import { ProxyConfig } from "../mesh/istio/mesh-proxy-config.ts";
import { compareText } from "../mesh/object.ts";
import { onceFor } from "../platform/once-for.ts";

/** What a proxy's own ProxyConfig, which it sends with its node, changes about how it speaks HTTP. */
export interface ProxyHttp {
  readonly tracing: ProxyTracing | null;
  readonly server: { readonly isPassedThrough: boolean; readonly name: string };
  readonly hasRequestId: boolean;
  readonly hasAttemptCount: boolean;
  readonly hasDebugHeaders: boolean;
  readonly hasForwardedPort: boolean;
  /** Whether names of HTTP/1.1 headers keep their capitals. */
  readonly hasHeaderCase: boolean;
  /** Whether a host that a route replaces goes along as `x-forwarded-host`. */
  readonly hasForwardedHost: boolean;
  /** Of Envoy's `ForwardClientCertDetails`; null for the mesh's own choice, as is the next. */
  readonly forwardedClientCert: (typeof FORWARDED)[number] | null;
  readonly clientCertDetails: Readonly<Record<string, boolean>> | null;
}

export interface ProxyTracing {
  readonly samplingPercent: number;
  readonly maxPathTagLength: number | null;
  readonly tags: readonly TraceTag[];
}

export type TraceTag = { readonly tag: string } & (
  | { readonly kind: "literal" | "format"; readonly value: string }
  | { readonly kind: "environment" | "header"; readonly name: string; readonly defaultValue: string }
);

export const FORWARDED = ["SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET", "ALWAYS_FORWARD_ONLY"] as const;

/**
 * As a text, equal for proxies that are equal in it, so that it can be part of a builder's input; null where nothing
 * differs from what every proxy has. The node is the proxy's own word: what cannot be read changes nothing. Read once, since
 * a stream's node stays the same object, and every push asks.
 */
export const readProxyHttp = onceFor(readMetadata);

const validator = Compile(ProxyConfig);

function readMetadata(metadata: JsonObject): string | null {
  const written = metadata.PROXY_CONFIG;
  if (!isObject(written) || (written.tracing === undefined && written.proxyHeaders === undefined)) return null;
  const { value } = conform(ProxyConfig, { tracing: written.tracing, proxyHeaders: written.proxyHeaders });
  if (!validator.Check(value)) return null;
  const text = JSON.stringify(build(value));
  return text === UNCHANGED ? null : text;
}

function build({ tracing, proxyHeaders = {} }: ProxyConfig): ProxyHttp {
  const { server, requestId, attemptCount, envoyDebugHeaders, xForwardedHost, xForwardedPort } = proxyHeaders;
  const {
    subject = false,
    cert = false,
    chain = false,
    dns = false,
    uri = false,
  } = proxyHeaders.setCurrentClientCertDetails ?? {};
  return {
    tracing: buildTracing(tracing),
    server: { isPassedThrough: server?.disabled ?? false, name: headerValue(server?.value) },
    hasRequestId: !(requestId?.disabled ?? false),
    hasAttemptCount: !(attemptCount?.disabled ?? false),
    hasDebugHeaders: !(envoyDebugHeaders?.disabled ?? false),
    hasForwardedPort: xForwardedPort?.enabled ?? false,
    hasHeaderCase: proxyHeaders.preserveHttp1HeaderCase ?? false,
    hasForwardedHost: xForwardedHost?.enabled ?? false,
    forwardedClientCert: FORWARDED.find((known) => known === proxyHeaders.forwardedClientCert) ?? null,
    clientCertDetails: (proxyHeaders.setCurrentClientCertDetails && { subject, cert, chain, dns, uri }) || null,
  };
}

/** The bootstrap knows the collector; without one, spans would be made for nobody. */
function buildTracing(tracing: ProxyConfig["tracing"]): ProxyTracing | null {
  if (!tracing?.zipkin?.address && !tracing?.datadog?.address) return null;
  const tags = Object.entries(tracing.customTags ?? {}).sort(([a], [b]) => compareText(a, b));
  return {
    // Istio's default.
    samplingPercent: tracing.sampling ?? 1,
    maxPathTagLength: tracing.maxPathTagLength ?? null,
    tags: tags.flatMap(([tag, source]): TraceTag[] => (tag === "" ? [] : traceTag(tag, source))),
  };
}

type CustomTag = NonNullable<NonNullable<ProxyConfig["tracing"]>["customTags"]>[string];

/** One that Envoy would refuse would cost the proxy all of its listeners. */
function traceTag(tag: string, { literal, environment, header, formatter }: CustomTag): TraceTag[] {
  if (literal?.value) return [{ tag, kind: "literal", value: literal.value }];
  if (environment?.name) {
    return [{ tag, kind: "environment", name: environment.name, defaultValue: environment.defaultValue ?? "" }];
  }
  if (header?.name && /^[\w!#$%&'*+.^`|~-]+$/.test(header.name)) {
    return [{ tag, kind: "header", name: header.name, defaultValue: header.defaultValue ?? "" }];
  }
  const format = formatter?.value;
  return format && headerFormatProblem(format) === null ? [{ tag, kind: "format", value: format }] : [];
}

function headerValue(text = ""): string {
  return /^[\t -~]{0,256}$/.test(text) ? text : "";
}

const UNCHANGED = JSON.stringify(build({}));

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
