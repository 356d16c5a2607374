import { TrafficDirection } from "../../gen/envoy/config/core/v3/base_pb.ts";
import { ListenerSchema } from "../../gen/envoy/config/listener/v3/listener_pb.ts";
import type { MeshConfig } from "../../mesh/mesh-config.ts";
import type { MeshPort, MeshService } from "../../mesh/mesh-service.ts";
import type { EncodedResource } from "../../xds/resource-set.ts";
import { address } from "../address.ts";
import { encodeResource } from "../encode.ts";
import { BLACKHOLE_CLUSTER, OUTBOUND_CAPTURE_PORT, outboundClusterName, PASSTHROUGH_CLUSTER } from "../names.ts";
import { provenance } from "../provenance.ts";
import { adsSource } from "../tls-context.ts";
import { httpConnectionManager, tcpProxy } from "./network-filters.ts";

/**
 * Where the interception rules bring every outbound connection. It is handed to the listener of the address that the
 * application dialled; one that no listener is for goes on to it, or nowhere, as the mesh config says.
 */
export function buildVirtualOutbound(config: MeshConfig): EncodedResource {
  return buildCapture("virtualOutbound", "0.0.0.0", config);
}

/** The same for IPv6, in pods that have it. */
export function buildVirtualOutboundIpv6(config: MeshConfig): EncodedResource {
  return buildCapture("virtualOutbound-ipv6", "::", config);
}

function buildCapture(name: string, ip: string, config: MeshConfig): EncodedResource {
  const unknown = config.outboundTrafficPolicy === "ALLOW_ANY" ? PASSTHROUGH_CLUSTER : BLACKHOLE_CLUSTER;
  return encodeResource(ListenerSchema, {
    name,
    address: address(ip, OUTBOUND_CAPTURE_PORT),
    useOriginalDst: true,
    trafficDirection: TrafficDirection.OUTBOUND,
    filterChains: [
      {
        // A connection dialled to the listener itself would be passed on to itself, forever.
        name: "virtualOutbound-blackhole",
        filterChainMatch: { destinationPort: OUTBOUND_CAPTURE_PORT },
        filters: [tcpProxy(BLACKHOLE_CLUSTER)],
      },
      { name: "virtualOutbound-catchall-tcp", filters: [tcpProxy(unknown)] },
    ],
  });
}

/** All HTTP services on one port share a listener: the Host header tells them apart, by the route table of that port. */
export function buildHttpOutbound(config: MeshConfig, port: number): EncodedResource {
  return encodeResource(ListenerSchema, {
    name: `0.0.0.0_${port}`,
    address: address("0.0.0.0", port),
    bindToPort: false,
    trafficDirection: TrafficDirection.OUTBOUND,
    filterChains: [
      {
        filters: [
          httpConnectionManager("outbound", `outbound_0.0.0.0_${port}`, {
            case: "rds",
            value: { routeConfigName: routeConfigurationName(port), configSource: adsSource },
          }),
        ],
      },
    ],
    metadata: provenance(null, { trustDomain: config.trustDomain }),
  });
}

export function routeConfigurationName(port: number): string {
  return String(port);
}

/** A TCP service is told by its virtual address. */
export function buildTcpOutbound(service: MeshService, port: MeshPort, ip: string): EncodedResource {
  const { hostname, name, namespace } = service;
  return encodeResource(ListenerSchema, {
    name: `${ip}_${port.number}`,
    address: address(ip, port.number),
    bindToPort: false,
    trafficDirection: TrafficDirection.OUTBOUND,
    filterChains: [{ filters: [tcpProxy(outboundClusterName(hostname, port.number))] }],
    metadata: provenance(null, { services: [{ host: hostname, name, namespace }] }),
  });
}
