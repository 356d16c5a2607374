import { boundAddress, canShare, parseServerHost, type ServerKind, serverKind } from "./gateway-server.ts";
import type { Gateway, GatewayServer } from "./istio/gateway.ts";

/** A server of a Gateway as others find it that may want the same. */
export interface PlacedServer {
  readonly gateway: Gateway;
  readonly server: GatewayServer;
  readonly kind: ServerKind;
}

/** The servers of many Gateways, by what only one of them can have. */
export interface GatewayServers {
  /** Those on the same port that cannot share it with this one. */
  unlike(server: GatewayServer): readonly PlacedServer[];
  /** Those that end the TLS of requests for this host on the same port. */
  endingTls(server: GatewayServer, host: string): readonly PlacedServer[];
}

export function indexGatewayServers(gateways: readonly Gateway[]): GatewayServers {
  const byKind = new Map<string, Map<ServerKind, PlacedServer[]>>();
  const byHost = new Map<string, PlacedServer[]>();
  for (const gateway of gateways) {
    for (const server of gateway.spec.servers ?? []) {
      const place = placeOf(server);
      const placed = { gateway, server, kind: serverKind(server) };
      const kinds = byKind.get(place) ?? new Map<ServerKind, PlacedServer[]>();
      byKind.set(place, kinds);
      addTo(kinds, placed.kind, placed);
      if (placed.kind !== "https") continue;
      for (const host of hostsOf(server, gateway.metadata.namespace)) addTo(byHost, `${place} ${host}`, placed);
    }
  }
  return {
    unlike(server) {
      const own = serverKind(server);
      const others = byKind.get(placeOf(server)) ?? [];
      return [...others].flatMap(([kind, found]) => (canShare(kind, own) ? [] : found));
    },
    endingTls: (server, host) => byHost.get(`${placeOf(server)} ${host}`) ?? [],
  };
}

/** The hosts that a server of a Gateway in this namespace is for, each once. */
export function hostsOf({ hosts }: GatewayServer, namespace: string): readonly string[] {
  return [...new Set(hosts.flatMap((text) => parseServerHost(text, namespace)?.host ?? []))];
}

function placeOf(server: GatewayServer): string {
  return `${boundAddress(server)} ${server.port.number}`;
}

function addTo<K>(lists: Map<K, PlacedServer[]>, key: K, placed: PlacedServer): void {
  const known = lists.get(key);
  if (known === undefined) lists.set(key, [placed]);
  else known.push(placed);
}
