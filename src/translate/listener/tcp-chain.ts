import { create, type JsonObject } from "@bufbuild/protobuf";
import {
  type Filter,
  type FilterChain,
  FilterChainSchema,
  FilterSchema,
} from "../../gen/envoy/config/listener/v3/listener_components_pb.ts";
import { FilterStateValue_SharedWithUpstream } from "../../gen/envoy/extensions/filters/common/set_filter_state/v3/value_pb.ts";
import { ConfigSchema as SetFilterStateSchema } from "../../gen/envoy/extensions/filters/network/set_filter_state/v3/set_filter_state_pb.ts";
import { FilterConfigSchema as SniForwardProxySchema } from "../../gen/envoy/extensions/filters/network/sni_dynamic_forward_proxy/v3/sni_dynamic_forward_proxy_pb.ts";
import { TcpProxySchema } from "../../gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts";
import type { DestinationRule } from "../../mesh/istio/destination-rule.ts";
import type { VirtualService } from "../../mesh/istio/virtual-service.ts";
import type { MeshConfig } from "../../mesh/mesh-config.ts";
import type { MeshPort, MeshService } from "../../mesh/mesh-service.ts";
import type { Database } from "../../mesh/port-protocol.ts";
import { dnsCache } from "../dns-cache.ts";
import { ADDRESS_KEY } from "../endpoint/assignment.ts";
import { parseCidr } from "../filters/authorization-match.ts";
import { MESH_ALPN, outboundClusterName } from "../names.ts";
import { provenance } from "../provenance.ts";
import { durationOfMs, parseDurationMs, typedConfig } from "../typed-config.ts";
import { mongoProxy, redisProxy } from "./database-filters.ts";
import { type TcpSettings, tcpSettings } from "./tcp-settings.ts";

/** Where connections that carry no requests go, and by what they are told from others at the same address. */
export interface TcpChain extends TcpSettings {
  /** Whose traffic it is. */
  readonly service: Pick<MeshService, "hostname" | "name" | "namespace">;
  /** Names that the caller may ask for in TLS, whole or as `*.suffix`; empty for any, also without TLS. */
  readonly serverNames: readonly string[];
  /** Addresses and CIDR blocks that the caller may have dialled; empty for any. */
  readonly ranges: readonly string[];
  readonly destinations: readonly { readonly cluster: string; readonly weight: number }[];
  /** The one endpoint of a headless service that the caller dialled; null where any will do. */
  readonly endpointAddress: string | null;
  /** The port to connect to at whatever name the caller asks for, which is looked up; null where endpoints are known. */
  readonly forwardPort: number | null;
  /** The port speaks HTTP as well: the peer's sidecar must be told that these bytes are none. */
  readonly isBesideHttp: boolean;
  /** What is spoken, where the port declares a database that Envoy knows. */
  readonly database?: Database | undefined;
  /** The VirtualService that routes it; null for the service's own way. */
  readonly owner: VirtualService | null;
}

/** What a port of a service has without routes of its own: everything to one cluster. */
export function buildServiceChain(
  service: MeshService,
  port: MeshPort,
  serverNames: string,
  range: string,
  endpointAddress: string,
  rule: DestinationRule | null,
): TcpChain {
  const { hostname, name, namespace } = service;
  return {
    service: { hostname, name, namespace },
    serverNames: serverNames === "" ? [] : [serverNames],
    ranges: range === "" ? [] : [range],
    destinations: [{ cluster: outboundClusterName(hostname, port.number), weight: 1 }],
    endpointAddress: endpointAddress === "" ? null : endpointAddress,
    forwardPort: service.resolution === "dynamic-dns" ? port.number : null,
    isBesideHttp: port.protocol === "auto",
    database: port.database,
    owner: null,
    ...tcpSettings(rule, undefined, port.number),
  };
}

export function buildTcpFilterChain(chain: TcpChain, config: MeshConfig): FilterChain {
  const { serverNames, ranges, forwardPort, isBesideHttp, owner } = chain;
  return create(FilterChainSchema, {
    ...(owner === null ? {} : { metadata: provenance(owner) }),
    ...(serverNames.length + ranges.length === 0
      ? {}
      : {
          filterChainMatch: {
            serverNames: [...serverNames],
            prefixRanges: ranges.flatMap((range) => parseCidr(range) ?? []),
          },
        }),
    filters: [
      ...(isBesideHttp ? [announcesTcp] : []),
      ...(forwardPort === null ? [] : [forwardProxy(forwardPort, config)]),
      ...passOn(chain, config),
    ],
  });
}

/** Where the mesh wants a look into what a database is asked, by Envoy's filter for it. */
function passOn(chain: TcpChain, { databaseFilters }: MeshConfig): Filter[] {
  const { database, destinations, endpointAddress, forwardPort, tunnel } = chain;
  const [first, ...others] = destinations;
  if (first === undefined || database === undefined || !databaseFilters.includes(database)) return [tcpProxyOf(chain)];
  if (database === "mongo") return [mongoProxy(first.cluster), tcpProxyOf(chain)];
  // It takes each command to any endpoint of one cluster: what else was chosen for the connection would be lost.
  const goesAnywhere = others.length === 0 && endpointAddress === null && forwardPort === null && tunnel === null;
  return [goesAnywhere ? redisProxy(first.cluster) : tcpProxyOf(chain)];
}

function tcpProxyOf({ destinations, endpointAddress, idleTimeout, maxDuration, tunnel }: TcpChain): Filter {
  const [first, ...others] = destinations;
  const weighted = destinations
    .filter(({ weight }) => weight > 0)
    .map(({ cluster, weight }) => ({ name: cluster, weight }));
  const metadata: JsonObject = endpointAddress === null ? {} : { [ADDRESS_KEY]: endpointAddress };
  return create(FilterSchema, {
    name: "envoy.filters.network.tcp_proxy",
    configType: {
      case: "typedConfig",
      value: typedConfig(TcpProxySchema, {
        statPrefix: first?.cluster ?? "",
        clusterSpecifier:
          others.length === 0
            ? { case: "cluster", value: first?.cluster ?? "" }
            : { case: "weightedClusters", value: { clusters: weighted } },
        ...(endpointAddress === null ? {} : { metadataMatch: { filterMetadata: { "envoy.lb": metadata } } }),
        ...(idleTimeout === null ? {} : { idleTimeout: durationOfMs(parseDurationMs(idleTimeout)) }),
        ...(maxDuration === null
          ? {}
          : { maxDownstreamConnectionDuration: durationOfMs(parseDurationMs(maxDuration)) }),
        ...(tunnel === null
          ? {}
          : {
              tunnelingConfig: {
                hostname: `${tunnel.targetHost.includes(":") ? `[${tunnel.targetHost}]` : tunnel.targetHost}:${tunnel.targetPort}`,
                usePost: tunnel.protocol === "POST",
              },
            }),
      }),
    },
  });
}

/** The cluster's own offer is for HTTP, and the peer's sidecar believes it. */
const announcesTcp = create(FilterSchema, {
  name: "envoy.filters.network.set_filter_state",
  configType: {
    case: "typedConfig",
    value: typedConfig(SetFilterStateSchema, {
      onNewConnection: [
        {
          key: { case: "objectKey", value: "envoy.network.application_protocols" },
          value: {
            case: "formatString",
            value: {
              format: { case: "textFormatSource", value: { specifier: { case: "inlineString", value: MESH_ALPN } } },
            },
          },
          sharedWithUpstream: FilterStateValue_SharedWithUpstream.ONCE,
        },
      ],
    }),
  },
});

function forwardProxy(port: number, config: MeshConfig): Filter {
  return create(FilterSchema, {
    name: "envoy.filters.network.sni_dynamic_forward_proxy",
    configType: {
      case: "typedConfig",
      value: typedConfig(SniForwardProxySchema, {
        dnsCacheConfig: dnsCache(config),
        portSpecifier: { case: "portValue", value: port },
      }),
    },
  });
}
