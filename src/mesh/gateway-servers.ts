import { boundAddress, canShare, parseServerHost, type ServerKind, serverKind } from "./gateway-server.ts";
import type { Gateway, GatewayServer } from "./istio/gateway.ts";
import { NamedItems } from "./named-items.ts";

/** A server of a Gateway as others find it that may want the same. */
export interface PlacedServer {
  readonly gateway: Gateway;
  readonly server: GatewayServer;
}

/** Which servers are asked for: those that were added under one of the names, and are wanted. */
export interface AmongServers {
  readonly names: ReadonlySet<string>;
  isWanted(placed: PlacedServer): boolean;
}

/** The servers of many Gateways, by what only one of them can have. */
export class GatewayServers {
  #byKind = new Map<string, Map<ServerKind, NamedItems<PlacedServer>>>();
  #byHost = new Map<string, NamedItems<PlacedServer>>();

  add(gateway: Gateway, server: GatewayServer, name: string): void {
    const place = placeOf(server);
    const kind = serverKind(server);
    const kinds = this.#byKind.get(place) ?? new Map<ServerKind, NamedItems<PlacedServer>>();
    this.#byKind.set(place, kinds);
    addTo(kinds, kind, { gateway, server }, name);
    if (kind !== "https") return;
    for (const host of hostsOf(server, gateway.metadata.namespace)) {
      addTo(this.#byHost, `${place} ${host}`, { gateway, server }, name);
    }
  }

  /** One on the same port that cannot share it with this one. */
  unlike(server: GatewayServer, { names, isWanted }: AmongServers): PlacedServer | undefined {
    const own = serverKind(server);
    for (const [kind, servers] of this.#byKind.get(placeOf(server)) ?? []) {
      const [found] = canShare(kind, own) ? [] : servers.first(1, names, isWanted);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** One that ends the TLS of requests for this host on the same port. */
  endingTls(server: GatewayServer, host: string, { names, isWanted }: AmongServers): PlacedServer | undefined {
    return this.#byHost.get(`${placeOf(server)} ${host}`)?.first(1, names, isWanted)[0];
  }
}

/** The hosts that a server of a Gateway in this namespace is for, each once. */
export function hostsOf({ hosts }: GatewayServer, namespace: string): readonly string[] {
  return [...new Set(hosts.flatMap((text) => parseServerHost(text, namespace)?.host ?? []))];
}

function placeOf(server: GatewayServer): string {
  return `${boundAddress(server)} ${server.port.number}`;
}

function addTo<K>(lists: Map<K, NamedItems<PlacedServer>>, key: K, placed: PlacedServer, name: string): void {
  const known = lists.get(key) ?? new NamedItems<PlacedServer>();
  lists.set(key, known);
  known.add(placed, [name]);
}
