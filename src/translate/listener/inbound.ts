import { create } from "@bufbuild/protobuf";
import { TrafficDirection } from "../../gen/envoy/config/core/v3/base_pb.ts";
import { FilterChainSchema } from "../../gen/envoy/config/listener/v3/listener_components_pb.ts";
import { ListenerSchema } from "../../gen/envoy/config/listener/v3/listener_pb.ts";
import { OriginalDstSchema } from "../../gen/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.ts";
import { OriginalSrcSchema } from "../../gen/envoy/extensions/filters/listener/original_src/v3/original_src_pb.ts";
import type { AuthorizationPolicy } from "../../mesh/istio/authorization-policy.ts";
import type { PeerAuthentication } from "../../mesh/istio/peer-authentication.ts";
import type { MeshConfig } from "../../mesh/mesh-config.ts";
import { buildMutualTlsModes, policiesOfPort } from "../../mesh/peer-authentication-mode.ts";
import type { EncodedResource } from "../../xds/resource-set.ts";
import { address } from "../address.ts";
import { encodeResource } from "../encode.ts";
import { buildAuthorization } from "../filters/authorization.ts";
import { type BoundRateLimit, buildRateLimits, limitedPorts } from "../filters/rate-limit.ts";
import type { InboundPort } from "../inbound-port.ts";
import type { Interception } from "../interception.ts";
import { BLACKHOLE_CLUSTER, INBOUND_CAPTURE_PORT } from "../names.ts";
import { configPath, shapedBy } from "../provenance.ts";
import { durationOfMs, parseDurationMs, typedConfig } from "../typed-config.ts";
import type { Workload } from "../workload.ts";
import { type PortTls, portChains, undeclaredChains } from "./inbound-chains.ts";
import { passedOnFilters } from "./inbound-filters.ts";
import { inspectorsFor } from "./inspectors.ts";
import { tcpProxy } from "./network-filters.ts";

/**
 * Where the interception rules bring every inbound connection. Each port has filter chains of its own; what no Service
 * leads to is passed on under the same policies, told by its first bytes whether it is HTTP.
 */
export function buildVirtualInbound(
  workload: Workload,
  ports: readonly InboundPort[],
  peerAuthentications: readonly PeerAuthentication[],
  authorizationPolicies: readonly AuthorizationPolicy[],
  rateLimits: readonly BoundRateLimit[],
  config: MeshConfig,
  interception: Interception,
): EncodedResource {
  const modes = buildMutualTlsModes(peerAuthentications, workload.labels, workload.namespace);
  const tlsOf = portTlsOf(workload, peerAuthentications);
  const authorization = buildAuthorization(authorizationPolicies, workload, config);
  const guards = (port?: number) => ({ authorization, limits: buildRateLimits(rateLimits, port) });
  const captured = ports.filter(({ bind, port }) => bind === null && port !== INBOUND_CAPTURE_PORT);
  const served = new Set(ports.map(({ port }) => port));
  const said = new Set([...Object.keys(modes.byPort).map(Number), ...limitedPorts(rateLimits)]);
  const others = [...said].filter((port) => !served.has(port) && port !== INBOUND_CAPTURE_PORT).sort((a, b) => a - b);
  const usual = passedOnFilters(guards(), config);
  const passedOn = (port?: number) =>
    rateLimits.length === 0 || port === undefined ? usual : passedOnFilters(guards(port), config);
  const filterChains = [
    create(FilterChainSchema, {
      name: "virtualInbound-blackhole",
      filterChainMatch: { destinationPort: INBOUND_CAPTURE_PORT },
      filters: [tcpProxy(BLACKHOLE_CLUSTER)],
    }),
    ...captured.flatMap((port) => portChains(port, port.port, tlsOf(port.port), guards(port.port), config)),
    ...[...others, undefined].flatMap((port) => undeclaredChains(port, tlsOf(port), passedOn(port), config)),
  ];
  return encodeResource(ListenerSchema, {
    name: "virtualInbound",
    address: address("0.0.0.0", INBOUND_CAPTURE_PORT),
    ...(interception.hasIpv6 ? { additionalAddresses: [{ address: address("::", INBOUND_CAPTURE_PORT) }] } : {}),
    ...(interception.isTransparent ? { transparent: true } : {}),
    trafficDirection: TrafficDirection.INBOUND,
    listenerFilters: [
      { name: "envoy.filters.listener.original_dst", configType: originalDst },
      ...(interception.isTransparent ? [{ name: "envoy.filters.listener.original_src", configType: originalSrc }] : []),
      ...inspectorsFor(filterChains, authorization.asksServerName),
    ],
    ...detection(config),
    filterChains,
  });
}

/** A port that the sidecar itself listens on, as its Sidecar asks with `captureMode: NONE`. */
export function buildBoundInbound(
  workload: Workload,
  port: InboundPort,
  peerAuthentications: readonly PeerAuthentication[],
  authorizationPolicies: readonly AuthorizationPolicy[],
  rateLimits: readonly BoundRateLimit[],
  config: MeshConfig,
): EncodedResource {
  const authorization = buildAuthorization(authorizationPolicies, workload, config);
  const limits = buildRateLimits(rateLimits, port.port);
  const ip = port.bind ?? "0.0.0.0";
  const tls = portTlsOf(workload, peerAuthentications)(port.port);
  const filterChains = portChains(port, undefined, tls, { authorization, limits }, config);
  return encodeResource(ListenerSchema, {
    // It takes the place of a listener for what the application might dial there, which is itself.
    name: `${ip}_${port.port}`,
    address: address(ip, port.port),
    trafficDirection: TrafficDirection.INBOUND,
    listenerFilters: inspectorsFor(filterChains, authorization.asksServerName),
    ...detection(config),
    filterChains,
    ...shapedBy([port.sidecar]),
  });
}

/** How each port takes its callers; those that nothing is said of, without a number. */
function portTlsOf({ labels, namespace }: Workload, policies: readonly PeerAuthentication[]) {
  const { mode, byPort } = buildMutualTlsModes(policies, labels, namespace);
  return (port?: number): PortTls => ({
    mode: (port === undefined ? undefined : byPort[port]) ?? mode,
    policies: policiesOfPort(policies, labels, namespace, port).map(configPath),
  });
}

/** A caller whose protocol lets the server speak first sends nothing to inspect. */
function detection({ protocolDetectionTimeout }: MeshConfig) {
  const timeoutMs = protocolDetectionTimeout === null ? 5000 : parseDurationMs(protocolDetectionTimeout);
  return { listenerFiltersTimeout: durationOfMs(timeoutMs), continueOnListenerFiltersTimeout: true };
}

const originalDst = { case: "typedConfig" as const, value: typedConfig(OriginalDstSchema, {}) };
/** Calls the app in the caller's name; by the mark, the app's answers find their way back (src/init/interception.ts). */
const originalSrc = { case: "typedConfig" as const, value: typedConfig(OriginalSrcSchema, { mark: 1337 }) };
