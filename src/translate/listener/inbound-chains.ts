import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import { TransportSocketSchema } from "../../gen/envoy/config/core/v3/base_pb.ts";
import {
  type Filter,
  type FilterChain,
  type FilterChainMatchSchema,
  FilterChainSchema,
} from "../../gen/envoy/config/listener/v3/listener_components_pb.ts";
import type { MeshConfig } from "../../mesh/mesh-config.ts";
import type { MutualTlsMode } from "../../mesh/peer-authentication-mode.ts";
import { isDeclaredHttp } from "../../mesh/port-protocol.ts";
import { onceFor } from "../../platform/once-for.ts";
import type { InboundPort } from "../inbound-port.ts";
import { inboundClusterName, MESH_ALPN, MESH_HTTP_ALPNS } from "../names.ts";
import { shapedBy } from "../provenance.ts";
import { downstreamMutualTls } from "../tls-context.ts";
import { connectionFilters, type DetectedFilters, type PortGuards, requestFilters } from "./inbound-filters.ts";
import { HTTP_BY_INSPECTION } from "./inspectors.ts";

/** What a port asks of its callers, and the paths of the PeerAuthentications that say so. */
export interface PortTls {
  readonly mode: MutualTlsMode;
  readonly policies: readonly string[];
}

/** How one port is reached; `destinationPort` is undefined where nothing else comes by the listener. */
export function portChains(
  { port, protocol, sidecar }: InboundPort,
  destinationPort: number | undefined,
  { mode, policies }: PortTls,
  guards: PortGuards,
  config: MeshConfig,
): FilterChain[] {
  const place = { name: String(port), port: destinationPort, shapers: [...policies, sidecar] };
  const destination = { cluster: inboundClusterName(port), statPrefix: `inbound_0.0.0.0_${port}`, protocol };
  const http = () => requestFilters(destination, guards, config);
  const tcp = () => connectionFilters(destination, guards);
  if (isDeclaredHttp(protocol)) return httpChains(place, mode, http(), config);
  if (protocol === "auto") return detectedChains(place, mode, { http: http(), tcp: tcp() }, config);
  return tcpChains(place, mode, tcp(), config);
}

/** The same for a port that nothing leads to; undefined stands for all that have no chains of their own. */
export function undeclaredChains(
  port: number | undefined,
  { mode, policies }: PortTls,
  filters: DetectedFilters,
  config: MeshConfig,
): FilterChain[] {
  const place = { name: port === undefined ? "virtualInbound-catchall" : String(port), port, shapers: policies };
  return detectedChains(place, mode, filters, config);
}

interface ChainPlace {
  readonly name: string;
  /** Undefined for every port that has no chain of its own. */
  readonly port?: number | undefined;
  /** The paths of the objects by which it is reached as it is. */
  readonly shapers: readonly (string | null)[];
}

/** Mutual TLS, plaintext, or both told apart by what the caller offers; a connection that fits no chain is closed. */
function httpChains(place: ChainPlace, mode: MutualTlsMode, filters: Filter[], config: MeshConfig): FilterChain[] {
  // Under PERMISSIVE, TLS without the mesh's mark is the application's own.
  const tls = () => mutualTls(place, "mtls", mode === "PERMISSIVE" ? [MESH_ALPN] : [], requestTls(config), filters);
  switch (mode) {
    case "STRICT":
      return [tls()];
    case "DISABLE":
      return [plaintext(place, "plaintext", {}, filters)];
    case "PERMISSIVE":
      return [tls(), plaintext(place, "plaintext", { transportProtocol: "raw_buffer" }, filters)];
  }
}

/** The same for what carries no requests, with the application's own TLS beside the mesh's. */
function tcpChains(place: ChainPlace, mode: MutualTlsMode, filters: Filter[], config: MeshConfig): FilterChain[] {
  const tls = () => mutualTls(place, "mtls", mode === "PERMISSIVE" ? [MESH_ALPN] : [], connectionTls(config), filters);
  switch (mode) {
    case "STRICT":
      return [tls()];
    case "DISABLE":
      return [plaintext(place, "plaintext", {}, filters)];
    case "PERMISSIVE":
      return [tls(), ...toldByTransport(place, filters)];
  }
}

/** Connections as they come, where other chains are told by whether it is TLS: Envoy looks no further than at those. */
function toldByTransport(place: ChainPlace, filters: Filter[]): FilterChain[] {
  return [
    plaintext(place, "tls-passthrough", { transportProtocol: "tls" }, filters),
    plaintext(place, "plaintext", { transportProtocol: "raw_buffer" }, filters),
  ];
}

/**
 * For a port whose protocol is not declared. Inside of mutual TLS the caller's sidecar says by what it offers whether the
 * bytes are HTTP; outside, the bytes themselves do.
 */
function detectedChains(
  place: ChainPlace,
  mode: MutualTlsMode,
  { http, tcp }: DetectedFilters,
  config: MeshConfig,
): FilterChain[] {
  const httpTls = () => mutualTls(place, "mtls-http", [...MESH_HTTP_ALPNS], requestTls(config), http);
  // What the application's own TLS offers is nothing that was found in the bytes.
  const httpPlain = () => {
    const match = { transportProtocol: "raw_buffer", applicationProtocols: HTTP_BY_INSPECTION };
    return plaintext(place, "plaintext-http", match, http);
  };
  switch (mode) {
    case "STRICT":
      return [httpTls(), ...tcpChains(place, mode, tcp, config)];
    case "DISABLE":
      return [httpPlain(), ...toldByTransport(place, tcp)];
    case "PERMISSIVE":
      return [httpTls(), httpPlain(), ...tcpChains(place, mode, tcp, config)];
  }
}

/** What of HTTP a sidecar agrees to; with none in common, it looks at the bytes. */
const HTTP_ALPN = ["h2", "http/1.1"];

const requestTls = onceFor((config: MeshConfig) => downstreamMutualTls(knownTrustDomains(config), HTTP_ALPN));
const connectionTls = onceFor((config: MeshConfig) => downstreamMutualTls(knownTrustDomains(config), [MESH_ALPN]));

type FilterChainMatchInit = Pick<
  MessageInitShape<typeof FilterChainMatchSchema>,
  "transportProtocol" | "applicationProtocols"
>;

function mutualTls(
  { name, port, shapers }: ChainPlace,
  suffix: string,
  applicationProtocols: string[],
  tls: Any,
  filters: Filter[],
): FilterChain {
  return create(FilterChainSchema, {
    name: `${name}-${suffix}`,
    ...shapedBy(shapers),
    filterChainMatch: { destinationPort: port, transportProtocol: "tls", applicationProtocols },
    transportSocket: create(TransportSocketSchema, {
      name: "envoy.transport_sockets.tls",
      configType: { case: "typedConfig", value: tls },
    }),
    filters,
  });
}

/** Which root each of them must come from is said by the secret `ROOTCA`. */
function knownTrustDomains({ trustDomain, trustDomainAliases, foreignAuthorities }: MeshConfig): string[] {
  const foreign = foreignAuthorities.flatMap(({ trustDomains }) => trustDomains);
  return [trustDomain, ...trustDomainAliases, ...[...new Set(foreign)].sort()];
}

function plaintext(
  { name, port, shapers }: ChainPlace,
  suffix: string,
  match: FilterChainMatchInit,
  filters: Filter[],
): FilterChain {
  return create(FilterChainSchema, {
    name: `${name}-${suffix}`,
    ...shapedBy(shapers),
    filterChainMatch: { destinationPort: port, ...match },
    filters,
  });
}
