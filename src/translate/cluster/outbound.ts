import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type Cluster_CommonLbConfigSchema,
  type Cluster_TransportSocketMatch,
  Cluster_TransportSocketMatchSchema,
  ClusterSchema,
} from "../../gen/envoy/config/cluster/v3/cluster_pb.ts";
import { type TransportSocket, TransportSocketSchema } from "../../gen/envoy/config/core/v3/base_pb.ts";
import type { DestinationRule, Subset } from "../../mesh/istio/destination-rule.ts";
import type { MeshConfig } from "../../mesh/mesh-config.ts";
import type { MeshPort, MeshService } from "../../mesh/mesh-service.ts";
import { buildPortPolicy, type PortPolicy } from "../../mesh/port-policy.ts";
import type { EncodedResource } from "../../xds/resource-set.ts";
import { encodeResource } from "../encode.ts";
import { type AssignmentInput, allSpeakMutualTls } from "../endpoint/assignment.ts";
import { localityPreference } from "../endpoint/locality-preference.ts";
import { isHttp, MESH_ALPN, MESH_HTTP_ALPN, MESH_HTTP2_ALPN, outboundClusterName, outboundSni } from "../names.ts";
import { provenance } from "../provenance.ts";
import { type ExpectedPeers, upstreamMutualTls } from "../tls-context.ts";
import { clientTls, plaintext, withProxyProtocol } from "./client-tls.ts";
import { circuitBreakers, connectionOptions } from "./connection-pool.ts";
import { discovery } from "./discovery.ts";
import { httpProtocolOptions, type UpstreamHttp, upstreamHttp } from "./http-protocol-options.ts";
import { isPassthrough } from "./load-balancing.ts";
import { outlierDetection } from "./outlier-detection.ts";

/**
 * The clusters by which each port of a service is reached: the whole service's, then one for each subset of its rule.
 * `inputs` are the endpoints of clusters that depend on them, by port; null where all have them by EDS.
 */
export function buildOutboundClusters(
  service: MeshService,
  rule: DestinationRule | null,
  identities: string,
  config: MeshConfig,
  inputs: readonly AssignmentInput[] | null,
): readonly EncodedResource[] {
  const subsets: (Subset | null)[] = [null, ...(rule?.spec.subsets ?? [])];
  return service.ports.flatMap((port, index) => {
    const known = inputs?.[index] ?? null;
    return subsets.map((subset) => outboundCluster({ service, port, rule, subset, identities, config, known }));
  });
}

interface ClusterInput {
  readonly service: MeshService;
  readonly port: MeshPort;
  readonly rule: DestinationRule | null;
  readonly subset: Subset | null;
  readonly identities: string;
  readonly config: MeshConfig;
  readonly known: AssignmentInput | null;
}

function outboundCluster(input: ClusterInput): EncodedResource {
  const { service, port, rule, subset, config } = input;
  const { hostname, name, namespace } = service;
  const clusterName = outboundClusterName(hostname, port.number, subset?.name);
  const policy = buildPortPolicy(rule, subset, port.number);
  const upstream = isHttp(port) ? upstreamHttp(port.protocol, policy, config.isHttp2Upgraded) : null;
  const outliers = outlierDetection(policy.outlierDetection);
  const hasShares = localityPreference(service, port, rule, subset, config.localityLb)?.kind === "distribute";
  const balancing = discovery(input, policy.loadBalancer, hasShares);
  return encodeResource(ClusterSchema, {
    name: clusterName,
    ...balancing,
    ...connectionOptions(policy.connectionPool, config),
    circuitBreakers: circuitBreakers(policy),
    ...outliers,
    ...(hasShares && balancing.loadBalancingPolicy === undefined
      ? { commonLbConfig: byShares(outliers.commonLbConfig) }
      : {}),
    typedExtensionProtocolOptions: upstream === null ? {} : httpProtocolOptions(upstream, policy),
    ...transport(input, policy, upstream),
    metadata: provenance(rule, {
      services: [{ host: hostname, name, namespace }],
      ...(subset === null ? {} : { subset: subset.name }),
    }),
  });
}

type CommonLbConfig = MessageInitShape<typeof Cluster_CommonLbConfigSchema>;

/** The shares of localities stand with their endpoints. */
function byShares(common: CommonLbConfig | undefined): CommonLbConfig {
  const { healthyPanicThreshold } = common ?? {};
  return {
    localityConfigSpecifier: { case: "localityWeightedLbConfig", value: {} },
    ...(healthyPanicThreshold === undefined ? {} : { healthyPanicThreshold }),
  };
}

/** How the bytes are carried: as the rule says, else by mutual TLS to the endpoints that can and in plaintext to the rest. */
function transport(input: ClusterInput, policy: PortPolicy, upstream: UpstreamHttp | null) {
  const { proxyProtocol } = policy;
  const tls = withServiceNames(policy.tls, input.service);
  const alone = (socket: TransportSocket) => ({ transportSocket: withProxyProtocol(socket, proxyProtocol) });
  if (tls?.mode === "SIMPLE" || tls?.mode === "MUTUAL") return alone(clientTls(tls, upstream));
  const mutualTls = mutualTlsSocket(input, tls, upstream);
  if (tls?.mode === "ISTIO_MUTUAL") return alone(mutualTls);
  const inPlaintext = () => (proxyProtocol === undefined ? {} : alone(plaintext));
  if (tls !== undefined || !input.config.enableAutoMtls || input.service.isExternal) return inPlaintext();
  // Of whom was dialled nothing is known but that it is one of them.
  if (isPassthrough(policy))
    return input.known !== null && allSpeakMutualTls(input.known, input.subset) ? alone(mutualTls) : inPlaintext();
  const match = (name: string, match: Record<string, string>, socket: TransportSocket): Cluster_TransportSocketMatch =>
    create(Cluster_TransportSocketMatchSchema, {
      name,
      match,
      transportSocket: withProxyProtocol(socket, proxyProtocol),
    });
  return {
    transportSocketMatches: [
      match("tlsMode-istio", { tlsMode: "istio" }, mutualTls),
      match("tlsMode-disabled", {}, plaintext),
    ],
  };
}

function mutualTlsSocket(
  { service, port, subset, identities, config }: ClusterInput,
  tls: PortPolicy["tls"],
  upstream: UpstreamHttp | null,
): TransportSocket {
  const peers = expectedPeers({ service, identities, config }, tls?.subjectAltNames ?? []);
  const { hostname } = service.standsFor ?? service;
  const sni = tls?.sni || outboundSni(hostname, port.number, subset?.name);
  return create(TransportSocketSchema, {
    name: "envoy.transport_sockets.tls",
    configType: { case: "typedConfig", value: upstreamMutualTls(sni, peers, meshAlpn(upstream, port)) },
  });
}

/** Whom the rule names, else whom the service does beside its endpoints' own identities, else anyone in its namespace. */
function expectedPeers(
  { service, identities, config }: Pick<ClusterInput, "service" | "identities" | "config">,
  byRule: readonly string[],
): ExpectedPeers {
  if (byRule.length > 0) return { ids: byRule };
  const roots = [config.trustDomain, ...config.trustDomainAliases].map((domain) => `spiffe://${domain}/`);
  const known = identities === "" ? [] : identities.split(",").flatMap((one) => roots.map((root) => root + one));
  const ids = [...service.subjectAltNames, ...known];
  return ids.length > 0
    ? { ids }
    : { prefixes: roots.map((root) => `${root}ns/${(service.standsFor ?? service).namespace}/sa/`) };
}

/** What a ServiceEntry says of its certificates holds where its rule says nothing. */
function withServiceNames(tls: PortPolicy["tls"], { subjectAltNames }: MeshService): PortPolicy["tls"] {
  if (tls === undefined || subjectAltNames.length === 0 || (tls.subjectAltNames ?? []).length > 0) return tls;
  return tls.mode === "SIMPLE" || tls.mode === "MUTUAL" ? { ...tls, subjectAltNames: [...subjectAltNames] } : tls;
}

/**
 * Where the caller's protocol decides, the peer's sidecar must look at the bytes: no version of HTTP is offered to agree
 * on. That they are HTTP is said at every port, as in Istio: the peer's Sidecar may leave out what a Service declares.
 */
function meshAlpn(upstream: UpstreamHttp | null, { protocol }: MeshPort): string[] {
  if (upstream === null) return [MESH_ALPN];
  if (protocol === "auto" || upstream === "callers") return [MESH_HTTP_ALPN, MESH_ALPN];
  return upstream === "http2" ? [MESH_HTTP2_ALPN, MESH_ALPN, "h2"] : [MESH_HTTP_ALPN, MESH_ALPN, "http/1.1"];
}
