import type { MeshConfig } from "../mesh/mesh-config.ts";
import type { MeshService } from "../mesh/mesh-service.ts";
import type { BuildCache } from "../platform/build-cache.ts";
import { ipVersion } from "../platform/ip-version.ts";
import type { EncodedResource } from "../xds/resource-set.ts";
import { networkOf } from "./cidr.ts";
import { buildOutboundListener, type HttpRouting, type ListenerPlace } from "./listener/outbound.ts";
import type { TcpChain } from "./listener/tcp-chain.ts";
import { OWN_PORTS } from "./names.ts";
import type { OutboundPolicy } from "./outbound-policy.ts";
import type { PortScope } from "./scope.ts";

/**
 * Collects what is reached where. Two chains of one place that could not be told apart would have Envoy refuse the
 * listener: what comes first has the place.
 */
export interface OutboundListeners {
  /** Where the application dials an address of a service's own. */
  at(service: MeshService, ip: string, port: number): ListenerPlace;
  /** Where it dials any address. */
  everywhere(port: number): ListenerPlace;
  /** Where a Sidecar has a listener for one port. */
  bound(listener: PortScope["listener"]): ListenerPlace;
  route(place: ListenerPlace, http: HttpRouting): void;
  pass(place: ListenerPlace, chain: TcpChain): void;
  build(): EncodedResource[];
}

interface Plan {
  readonly place: ListenerPlace;
  http: HttpRouting | null;
  readonly chains: TcpChain[];
  readonly claimed: Set<string>;
}

export interface OutboundListenersDeps {
  readonly hasIpv6: boolean;
  readonly config: MeshConfig;
  readonly policy: OutboundPolicy;
  readonly cache: BuildCache;
}

export function createOutboundListeners({ hasIpv6, config, policy, cache }: OutboundListenersDeps): OutboundListeners {
  const plans = new Map<ListenerPlace, Plan>();
  const places = new Map<string, ListenerPlace>();
  const placeOf = (owner: object, ip: string, otherIp: string, port: number, bindToPort: boolean) => {
    const name = ip.startsWith("unix://") ? ip : `${ip}_${port}`;
    let place = places.get(name);
    if (place === undefined) {
      place = cache.get(buildPlace, owner, name, ip, otherIp, port, bindToPort);
      places.set(name, place);
    }
    return place;
  };
  const planOf = (place: ListenerPlace) => {
    let plan = plans.get(place);
    if (plan === undefined) {
      plan = { place, http: null, chains: [], claimed: new Set() };
      plans.set(place, plan);
    }
    return plan;
  };
  const everywhere = (port: number) => placeOf(policy, "0.0.0.0", hasIpv6 ? "::" : "", port, false);
  return {
    at: (service, ip, port) => placeOf(service, ip, "", port, false),
    everywhere,
    bound(listener) {
      const { bind = "", captureMode = "DEFAULT", port } = listener;
      const bindToPort = captureMode === "NONE" || bind.startsWith("unix://");
      if (!bindToPort && bind === "") return everywhere(port.number);
      return placeOf(policy, bind === "" ? "127.0.0.1" : bind, "", port.number, bindToPort);
    },
    route(place, http) {
      const plan = planOf(place);
      plan.http ??= http;
      // One host that needs a filter makes the whole table's requests pass it.
      if (plan.http.kind !== "table" || http.kind !== "table") return;
      if (http.forwardsByHost) plan.http = { ...plan.http, forwardsByHost: true };
      if (http.takesGrpcWeb) plan.http = { ...plan.http, takesGrpcWeb: true };
    },
    pass(place, chain) {
      const plan = planOf(place);
      const free = unclaimed(chain, plan.claimed);
      if (free !== null) plan.chains.push(free);
    },
    build() {
      const made: EncodedResource[] = [];
      for (const { place, http, chains } of plans.values()) {
        if (!place.bindToPort && OWN_PORTS.has(place.port) && ipVersion(place.ip) !== null) continue;
        const routing = http === null ? null : stableRouting(http, place, cache);
        made.push(cache.get(buildOutboundListener, place, routing, config, policy, ...chains));
      }
      return made;
    },
  };
}

/** Inputs are compared by identity, so places and routings that say the same are one object. */
function buildPlace(
  _owner: object,
  name: string,
  ip: string,
  otherIp: string,
  port: number,
  bindToPort: boolean,
): ListenerPlace {
  return { name, ip, otherIp, port, bindToPort };
}

function stableRouting(http: HttpRouting, place: ListenerPlace, cache: BuildCache): HttpRouting {
  return http.kind === "table"
    ? cache.get(buildTableRouting, place, http.name, http.forwardsByHost, http.takesGrpcWeb)
    : cache.get(buildEndpointRouting, place, http.cluster, http.address);
}

function buildTableRouting(
  _place: ListenerPlace,
  name: string,
  forwardsByHost: boolean,
  takesGrpcWeb: boolean,
): HttpRouting {
  return { kind: "table", name, forwardsByHost, takesGrpcWeb };
}

function buildEndpointRouting(_place: ListenerPlace, cluster: string, address: string): HttpRouting {
  return { kind: "endpoint", cluster, address };
}

/** The part of a chain that nobody has yet: names and ranges are claimed in pairs. Null where nothing is left. */
function unclaimed(chain: TcpChain, claimed: Set<string>): TcpChain | null {
  const ranges = chain.ranges.length === 0 ? [""] : chain.ranges.map(networkOf);
  const isFree = (name: string) => ranges.every((range) => !claimed.has(`${name} ${range}`));
  const names = chain.serverNames.length === 0 ? [""] : chain.serverNames;
  const free = [...new Set(names)].filter(isFree);
  if (free.length === 0) return null;
  for (const name of free) for (const range of ranges) claimed.add(`${name} ${range}`);
  return free.length === names.length ? chain : { ...chain, serverNames: free };
}
