import type { DestinationRule } from "../mesh/istio/destination-rule.ts";
import type { IngressListener, Sidecar } from "../mesh/istio/sidecar.ts";
import type { MeshConfig } from "../mesh/mesh-config.ts";
import type { MeshPort } from "../mesh/mesh-service.ts";
import { buildPortPolicy } from "../mesh/port-policy.ts";
import { type Protocol, portProtocol } from "../mesh/port-protocol.ts";
import { bindsItself } from "../mesh/proxy-ports.ts";
import { parseDefaultEndpoint } from "../mesh/sidecar-text.ts";
import type { MeshSnapshot } from "../mesh/snapshot.ts";
import type { BuildCache } from "../platform/build-cache.ts";
import { buildInboundCluster } from "./cluster/inbound.ts";
import { selectRateLimits } from "./filters/rate-limit.ts";
import type { InboundPort } from "./inbound-port.ts";
import type { Interception } from "./interception.ts";
import { buildBoundInbound, buildVirtualInbound } from "./listener/inbound.ts";
import type { SidecarResources } from "./outbound.ts";
import { configPath } from "./provenance.ts";
import type { OutboundScope } from "./scope.ts";
import { leadsTo, workloadPort } from "./service-ports.ts";
import type { Workload } from "./workload.ts";

/** The proxy whose callers are let in. */
export interface InboundProxy {
  readonly workload: Workload;
  readonly address: string;
  readonly answersDns: boolean;
  readonly interception: Interception;
  readonly sidecar: Sidecar | null;
  /** What its workload sees of the mesh. */
  readonly scope: Pick<OutboundScope, "reachable">;
}

/** How a proxy lets callers in to the workload beside it. */
export function translateInbound(
  mesh: MeshSnapshot,
  proxy: InboundProxy,
  cache: BuildCache,
): Pick<SidecarResources, "clusters" | "listeners"> {
  const { config } = mesh;
  const { workload, interception, sidecar } = proxy;
  const found =
    (sidecar?.spec.ingress ?? []).length > 0 ? sidecarPorts(proxy, config, cache) : servicePorts(mesh, proxy, cache);
  const view = `${workload.id} ${sidecar?.metadata.namespace}/${sidecar?.metadata.name} ${JSON.stringify(found)}`;
  const ports = cache.list(`inbound ports ${view}`, found);
  const shared = [
    mesh.peerAuthenticationsFor(workload.namespace),
    mesh.authorizationPoliciesFor(workload.namespace),
    selectRateLimits(mesh, workload, proxy.address, cache),
    config,
  ] as const;
  const listeners = [cache.get(buildVirtualInbound, workload, ports, ...shared, interception)];
  for (const port of ports) {
    if (port.bind !== null && !isProxysOwn(port.bind, port.port, proxy))
      listeners.push(cache.get(buildBoundInbound, workload, port, ...shared));
  }
  return {
    clusters: cache.list(
      `inbound clusters ${view}`,
      ports.map((port) => cache.get(buildInboundCluster, port, config)),
    ),
    listeners: cache.list(`inbound listeners ${JSON.stringify(interception)} ${proxy.answersDns} ${view}`, listeners),
  };
}

/** What the Sidecar opens takes the place of what Services lead to. */
function sidecarPorts({ sidecar, address }: InboundProxy, config: MeshConfig, cache: BuildCache): InboundPort[] {
  const pool = sidecar?.spec.inboundConnectionPool ?? null;
  const path = sidecar === null ? null : configPath(sidecar);
  return (sidecar?.spec.ingress ?? []).map((listener) =>
    cache.get(buildIngressPort, listener, pool, address, config, path),
  );
}

function buildIngressPort(
  listener: IngressListener,
  pool: Sidecar["spec"]["inboundConnectionPool"] | null,
  address: string,
  config: MeshConfig,
  sidecar: string | null,
): InboundPort {
  const { port, bind = "", captureMode, defaultEndpoint = "", connectionPool } = listener;
  return {
    port: port.number,
    protocol: portProtocol({ number: port.number, name: port.name, appProtocol: port.protocol || undefined }),
    endpoint: ingressEndpoint(defaultEndpoint, address) ?? localEndpoint(port.number, address, config),
    bind: captureMode === "NONE" ? (isAny(bind) ? address : bind) : null,
    connectionPool: connectionPool ?? pool ?? null,
    sidecar,
    rule: null,
  };
}

/** At the pod's own address too is what the proxy has at every address. */
function isProxysOwn(ip: string, port: number, { address, answersDns }: InboundProxy): boolean {
  return bindsItself(ip === address ? "0.0.0.0" : ip, port, answersDns);
}

/** The pod's own address stands for all of its addresses: on those, listeners for what it dials may be already. */
function isAny(bind: string): boolean {
  return bind === "" || bind === "0.0.0.0" || bind === "::";
}

function ingressEndpoint(text: string, address: string): InboundPort["endpoint"] {
  const endpoint = parseDefaultEndpoint(text);
  switch (endpoint?.kind) {
    case "loopback":
      return { ip: loopbackOf(address), port: endpoint.port };
    case "instance":
      return { ip: address, port: endpoint.port };
    case "socket":
      return { ip: `unix://${endpoint.path}`, port: 0 };
    default:
      return null;
  }
}

/** The mesh may say that applications listen on loopback only. */
function localEndpoint(port: number, address: string, { inboundTrafficPolicy }: MeshConfig): InboundPort["endpoint"] {
  return inboundTrafficPolicy === "LOCALHOST" ? { ip: loopbackOf(address), port } : null;
}

function loopbackOf(address: string): string {
  return address.includes(":") ? "::1" : "127.0.0.1";
}

/**
 * By port. Where Services disagree about one, what is declared outright comes before TCP and what is to be told from the
 * first bytes; among equals the first by name counts. The connections that callers may make to a Service, by the rule that
 * the workload itself goes by, are as many as it takes.
 */
function servicePorts(mesh: MeshSnapshot, proxy: InboundProxy, cache: BuildCache): InboundPort[] {
  const { config } = mesh;
  const { workload, address, sidecar, scope } = proxy;
  const ports = new Map<number, ServedPort>();
  for (const service of mesh.servicesIn(workload.namespace)) {
    if (!leadsTo(service, workload, address, mesh)) continue;
    for (const port of service.ports) {
      const number = workloadPort(port, service, workload, address, mesh);
      if (number === undefined) continue;
      const known = ports.get(number);
      if (known !== undefined && WEIGHT[port.protocol] <= WEIGHT[known.port.protocol]) continue;
      ports.set(number, { port, rule: scope.reachable.get(service.hostname)?.rule ?? null });
    }
  }
  const pool = sidecar?.spec.inboundConnectionPool ?? null;
  const path = sidecar === null ? null : configPath(sidecar);
  const end = loopbackOf(address);
  return [...ports]
    .sort(([a], [b]) => a - b)
    .map(([number, { port, rule }]) =>
      pool === null
        ? cache.get(buildRuledPort, config, number, port, rule, end)
        : cache.get(buildServicePort, config, number, port.protocol, pool, end, path, null),
    );
}

/** A Service's port, under the rule for the Service. */
interface ServedPort {
  readonly port: MeshPort;
  readonly rule: DestinationRule | null;
}

const WEIGHT: Readonly<Record<Protocol, number>> = { http: 3, http2: 3, "grpc-web": 3, auto: 2, tls: 1, tcp: 1 };

function buildRuledPort(
  config: MeshConfig,
  number: number,
  { number: servicePort, protocol }: MeshPort,
  rule: DestinationRule | null,
  loopback: string,
): InboundPort {
  const { connectionPool = null } = buildPortPolicy(rule, null, servicePort);
  const path = rule === null || connectionPool === null ? null : configPath(rule);
  return buildServicePort(config, number, protocol, connectionPool, loopback, null, path);
}

function buildServicePort(
  config: MeshConfig,
  port: number,
  protocol: Protocol,
  connectionPool: InboundPort["connectionPool"],
  loopback: string,
  sidecar: string | null,
  rule: string | null,
): InboundPort {
  const endpoint = localEndpoint(port, loopback, config);
  return { port, protocol, endpoint, bind: null, connectionPool, sidecar, rule };
}
