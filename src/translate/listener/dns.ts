import type { MessageInitShape } from "@bufbuild/protobuf";
import { SocketAddress_Protocol } from "../../gen/envoy/config/core/v3/address_pb.ts";
import { TrafficDirection } from "../../gen/envoy/config/core/v3/base_pb.ts";
import { ListenerSchema } from "../../gen/envoy/config/listener/v3/listener_pb.ts";
import { OriginalDstSchema } from "../../gen/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.ts";
import { DnsFilterConfigSchema } from "../../gen/envoy/extensions/filters/udp/dns_filter/v3/dns_filter_pb.ts";
import { CaresDnsResolverConfigSchema } from "../../gen/envoy/extensions/network/dns_resolver/cares/v3/cares_dns_resolver_pb.ts";
import { DNS_CAPTURE_PORT } from "../../mesh/proxy-ports.ts";
import type { EncodedResource } from "../../xds/resource-set.ts";
import { address } from "../address.ts";
import type { DnsRecord } from "../dns-record.ts";
import { encodeResource } from "../encode.ts";
import { PASSTHROUGH_CLUSTER } from "../names.ts";
import { durationOfMs, typedConfig } from "../typed-config.ts";
import { tcpProxy } from "./network-filters.ts";

/** As long as Istio's sidecars let their answers be kept. */
const ANSWER_TTL_MS = 30_000;
/** A pod that asks for more names at once than this has them fail rather than the proxy's memory. */
const MAX_PENDING_LOOKUPS = 256n;

/**
 * Where the interception rules bring the application's DNS queries. Names of the mesh are answered, others are asked of
 * the resolvers that the pod itself has. Envoy's filter knows queries for addresses and services only.
 */
export function buildDnsUdp(records: readonly DnsRecord[], ip: string): EncodedResource {
  return encodeResource(ListenerSchema, {
    name: ip.includes(":") ? "dns_udp-ipv6" : "dns_udp",
    address: {
      address: {
        case: "socketAddress",
        value: {
          protocol: SocketAddress_Protocol.UDP,
          address: ip,
          portSpecifier: { case: "portValue", value: DNS_CAPTURE_PORT },
        },
      },
    },
    trafficDirection: TrafficDirection.OUTBOUND,
    listenerFilters: [
      {
        name: "envoy.filters.udp.dns_filter",
        configType: { case: "typedConfig", value: typedConfig(DnsFilterConfigSchema, dnsFilter(records)) },
      },
    ],
  });
}

function dnsFilter(records: readonly DnsRecord[]): MessageInitShape<typeof DnsFilterConfigSchema> {
  return {
    statPrefix: "dns",
    serverConfig: {
      configSource: {
        case: "inlineDnsTable",
        value: {
          virtualDomains: records.map(({ name, addresses }) => ({
            name,
            endpoint: { endpointConfig: { case: "addressList", value: { address: [...addresses] } } },
            answerTtl: durationOfMs(ANSWER_TTL_MS),
          })),
        },
      },
    },
    clientConfig: {
      resolverTimeout: durationOfMs(5000),
      typedDnsResolverConfig: {
        name: "envoy.network.dns_resolver.cares",
        // Whoever asks has put the pod's search domains behind the name already.
        typedConfig: typedConfig(CaresDnsResolverConfigSchema, { dnsResolverOptions: { noDefaultSearchDomain: true } }),
      },
      maxPendingLookups: MAX_PENDING_LOOKUPS,
    },
  };
}

/** Queries by TCP, which are rare, go on to the resolver that was dialled. */
function buildDnsTcp(name: string, ip: string): EncodedResource {
  return encodeResource(ListenerSchema, {
    name,
    address: address(ip, DNS_CAPTURE_PORT),
    trafficDirection: TrafficDirection.OUTBOUND,
    listenerFilters: [
      {
        name: "envoy.filters.listener.original_dst",
        configType: { case: "typedConfig", value: typedConfig(OriginalDstSchema, {}) },
      },
    ],
    filterChains: [{ filters: [tcpProxy(PASSTHROUGH_CLUSTER)] }],
  });
}

export const dnsTcp = buildDnsTcp("dns_tcp", "127.0.0.1");
export const dnsTcpIpv6 = buildDnsTcp("dns_tcp-ipv6", "::1");
