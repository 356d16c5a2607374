import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import { HttpProtocolOptionsSchema as CommonOptionsSchema } from "../../gen/envoy/config/core/v3/protocol_pb.ts";
import { HttpProtocolOptionsSchema } from "../../gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts";
import type { PortPolicy } from "../../mesh/port-policy.ts";
import { durationOfMs, parseDurationMs, typedConfig } from "../typed-config.ts";

const NAME = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/** What is spoken to a cluster: HTTP/1.1, HTTP/2, or whatever the caller speaks. */
export type UpstreamHttp = "http" | "http2" | "callers";

/** HTTP/2 to ports that declare it or are upgraded, HTTP/1.1 to other HTTP ports; `auto` is the caller's protocol. */
export function upstreamHttp(
  protocol: string,
  { connectionPool }: PortPolicy,
  isUpgradedByDefault: boolean,
): UpstreamHttp {
  const { h2UpgradePolicy = "DEFAULT", useClientProtocol } = connectionPool?.http ?? {};
  if (useClientProtocol === true || (protocol === "auto" && h2UpgradePolicy !== "UPGRADE")) return "callers";
  if (protocol === "http2" || protocol === "grpc-web") return "http2";
  return h2UpgradePolicy === "UPGRADE" || (h2UpgradePolicy === "DEFAULT" && isUpgradedByDefault) ? "http2" : "http";
}

/** How HTTP is spoken to a cluster. */
export function httpProtocolOptions(upstream: UpstreamHttp, policy: PortPolicy): Readonly<Record<string, Any>> {
  // Most clusters have no settings of their own: theirs are encoded once.
  return policy.connectionPool === undefined && policy.tls === undefined
    ? UNSET[upstream]
    : buildOptions(upstream, policy);
}

function buildOptions(upstream: UpstreamHttp, policy: PortPolicy): Readonly<Record<string, Any>> {
  const { http } = policy.connectionPool ?? {};
  const http2ProtocolOptions = {
    ...(http?.maxConcurrentStreams ? { maxConcurrentStreams: http.maxConcurrentStreams } : {}),
    ...keepAlive(http?.http2KeepAlive),
  };
  return {
    [NAME]: typedConfig(HttpProtocolOptionsSchema, {
      ...commonOptions(policy),
      ...namesByRequest(policy),
      upstreamProtocolOptions:
        upstream === "callers"
          ? { case: "useDownstreamProtocolConfig", value: { httpProtocolOptions: {}, http2ProtocolOptions } }
          : {
              case: "explicitHttpConfig",
              value: {
                protocolConfig:
                  upstream === "http2"
                    ? { case: "http2ProtocolOptions", value: http2ProtocolOptions }
                    : { case: "httpProtocolOptions", value: {} },
              },
            },
    }),
  };
}

type HttpSettings = NonNullable<NonNullable<PortPolicy["connectionPool"]>["http"]>;

function keepAlive(settings: HttpSettings["http2KeepAlive"]) {
  if (settings === undefined) return {};
  // Envoy refuses a cluster with less than a millisecond of either.
  const span = (text: string) => durationOfMs(Math.max(parseDurationMs(text), 1));
  return { connectionKeepalive: { interval: span(settings.interval), timeout: span(settings.timeout) } };
}

type Options = MessageInitShape<typeof HttpProtocolOptionsSchema>;

function commonOptions({ connectionPool }: PortPolicy): Pick<Options, "commonHttpProtocolOptions"> {
  const { maxConnectionDuration, idleTimeout: idleTcp } = connectionPool?.tcp ?? {};
  const { maxRequestsPerConnection, idleTimeout = idleTcp } = connectionPool?.http ?? {};
  const options = {
    ...(maxRequestsPerConnection ? { maxRequestsPerConnection } : {}),
    ...(idleTimeout === undefined ? {} : { idleTimeout: durationOfMs(parseDurationMs(idleTimeout)) }),
    // Zero is no limit, which Envoy has only where nothing is said.
    ...(maxConnectionDuration === undefined || parseDurationMs(maxConnectionDuration) === 0
      ? {}
      : { maxConnectionDuration: durationOfMs(parseDurationMs(maxConnectionDuration)) }),
  };
  if (Object.keys(options).length === 0) return {};
  return { commonHttpProtocolOptions: create(CommonOptionsSchema, options) };
}

/** TLS of one's own without a server name asks for the host of the request, and expects it in the certificate. */
function namesByRequest({ tls }: PortPolicy): Pick<Options, "upstreamHttpProtocolOptions"> {
  if ((tls?.mode !== "SIMPLE" && tls?.mode !== "MUTUAL") || (tls.sni ?? "") !== "") return {};
  const isVerified = tls.insecureSkipVerify !== true && (tls.subjectAltNames ?? []).length === 0;
  return { upstreamHttpProtocolOptions: { autoSni: true, autoSanValidation: isVerified } };
}

const UNSET: Readonly<Record<UpstreamHttp, Readonly<Record<string, Any>>>> = {
  http: buildOptions("http", {}),
  http2: buildOptions("http2", {}),
  callers: buildOptions("callers", {}),
};

/** To the application as the caller spoke to the sidecar. */
export const sameAsDownstream = UNSET.callers;
