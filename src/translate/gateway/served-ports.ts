import { selectsProxy } from "../../mesh/credentials.ts";
import {
  boundAddress,
  canShare,
  parseServerHost,
  type ServerHost,
  type ServerKind,
  serverKind,
} from "../../mesh/gateway-server.ts";
import type { Gateway, GatewayServer } from "../../mesh/istio/gateway.ts";
import type { MeshService } from "../../mesh/mesh-service.ts";
import type { MeshSnapshot } from "../../mesh/snapshot.ts";
import type { BuildCache } from "../../platform/build-cache.ts";
import { leadsTo, workloadPort } from "../service-ports.ts";
import type { Workload } from "../workload.ts";

/** A server of a Gateway with what is read out of it. */
export interface BoundServer {
  readonly gateway: Gateway;
  readonly server: GatewayServer;
  readonly kind: ServerKind;
  readonly hosts: readonly ServerHost[];
  /** The Gateway as `NAMESPACE/NAME`, as VirtualServices name it. */
  readonly at: string;
}

/** What a gateway's proxy listens on, with the servers that share it: those of several Gateways, in order of age. */
export interface ServedPort {
  /** Empty is every address of the pod. */
  readonly ip: string;
  /** Of the pod; a Service in front of it may call it by another number. */
  readonly number: number;
  readonly servers: readonly BoundServer[];
}

/**
 * The servers of all Gateways that select the proxy. On one port are only servers that can share it: of another kind than
 * the first there, one is left out, as Istio does.
 */
export function selectServedPorts(mesh: MeshSnapshot, workload: Workload, cache: BuildCache): readonly ServedPort[] {
  const ports = new Map<string, { ip: string; number: number; servers: BoundServer[] }>();
  const leading = mesh.servicesIn(workload.namespace).filter((service) => leadsTo(service, workload, NO_ADDRESS, mesh));
  for (const gateway of mesh.gateways) {
    if (!selectsProxy(gateway, workload.labels)) continue;
    for (const server of gateway.spec.servers ?? []) {
      const bound = cache.get(bindServer, server, gateway);
      for (const number of listeningPorts(server.port.number, leading, workload, mesh)) {
        const ip = boundAddress(server);
        const key = `${ip} ${number}`;
        const port = ports.get(key) ?? { ip, number, servers: [] };
        const [first] = port.servers;
        if (first !== undefined && !canShare(first.kind, bound.kind)) continue;
        port.servers.push(bound);
        ports.set(key, port);
      }
    }
  }
  return [...ports.values()].sort((a, b) => a.number - b.number || (a.ip < b.ip ? -1 : 1));
}

function bindServer(server: GatewayServer, gateway: Gateway): BoundServer {
  const { namespace, name } = gateway.metadata;
  return {
    gateway,
    server,
    kind: serverKind(server),
    hosts: server.hosts.flatMap((text) => parseServerHost(text, namespace) ?? []),
    at: `${namespace}/${name}`,
  };
}

/** The pod's own ports behind this port of the Services that lead to it; where none has it, the number itself. */
function listeningPorts(
  number: number,
  leading: readonly MeshService[],
  workload: Workload,
  mesh: MeshSnapshot,
): readonly number[] {
  const found = new Set<number>();
  for (const service of leading) {
    for (const port of service.ports) {
      if (port.number !== number) continue;
      const target = workloadPort(port, service, workload, NO_ADDRESS, mesh);
      if (target !== undefined) found.add(target);
    }
  }
  return found.size === 0 ? [number] : [...found].sort((a, b) => a - b);
}

/** Replicas share all that they are sent: Services that find them by address alone do not count. */
const NO_ADDRESS = "";
