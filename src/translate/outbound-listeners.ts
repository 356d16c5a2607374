import type { MeshConfig } from "../mesh/mesh-config.ts";
import type { MeshService } from "../mesh/mesh-service.ts";
import { bindsItself, capturesItself } from "../mesh/proxy-ports.ts";
import type { BuildCache } from "../platform/build-cache.ts";
import { ipVersion } from "../platform/ip-version.ts";
import type { EncodedResource } from "../xds/resource-set.ts";
import { unclaimed } from "./listener/claimed-chains.ts";
import { buildOutboundListener, type HttpRouting, type ListenerPlace } from "./listener/outbound.ts";
import type { TcpChain } from "./listener/tcp-chain.ts";
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
  readonly answersDns: boolean;
  readonly config: MeshConfig;
  readonly policy: OutboundPolicy;
  /** The path of the Sidecar whose listeners are `bound`; null for none. */
  readonly sidecar: string | null;
  readonly cache: BuildCache;
}

export function createOutboundListeners(deps: OutboundListenersDeps): OutboundListeners {
  const { hasIpv6, config, policy, cache } = deps;
  const plans = new Map<ListenerPlace, Plan>();
  const places = new Map<string, ListenerPlace>();
  const placeOf = (
    owner: object,
    ip: string,
    port: number,
    { otherIp = "", bindToPort = false, sidecar = null }: Partial<ListenerPlace> = {},
  ) => {
    const name = ip.startsWith("unix://") ? ip : `${ip}_${port}`;
    let place = places.get(name);
    if (place === undefined) {
      place = cache.get(buildPlace, owner, name, ip, otherIp, port, bindToPort, sidecar);
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
  const everywhere = (port: number) => placeOf(policy, "0.0.0.0", port, { otherIp: hasIpv6 ? "::" : "" });
  return {
    at: (service, ip, port) => placeOf(service, ip, port),
    everywhere,
    bound(listener) {
      const { bind = "", captureMode = "DEFAULT", port } = listener;
      const bindToPort = captureMode === "NONE" || bind.startsWith("unix://");
      if (!bindToPort && bind === "") return everywhere(port.number);
      return placeOf(policy, bind === "" ? "127.0.0.1" : bind, port.number, { bindToPort, sidecar: deps.sidecar });
    },
    route(place, http) {
      const plan = planOf(place);
      plan.http ??= http;
      // One host that needs a filter makes the whole table's requests pass it.
      if (plan.http.kind !== "table" || http.kind !== "table") return;
      if (http.forwardsByHost) plan.http = { ...plan.http, forwardsByHost: true };
      if (http.takesGrpcWeb) plan.http = { ...plan.http, takesGrpcWeb: true };
      if (http.asksWhoWasDialled) plan.http = { ...plan.http, asksWhoWasDialled: true };
    },
    pass(place, chain) {
      const plan = planOf(place);
      const free = unclaimed(chain, plan.claimed);
      if (free !== null) plan.chains.push(free);
    },
    build() {
      const made: EncodedResource[] = [];
      for (const { place, http, chains } of plans.values()) {
        if (isSidecarsOwn(place, deps.answersDns)) continue;
        const routing = http === null ? null : stableRouting(http, place, cache);
        made.push(cache.get(buildOutboundListener, place, routing, config, policy, ...chains));
      }
      return made;
    },
  };
}

function isSidecarsOwn({ ip, port, bindToPort }: ListenerPlace, answersDns: boolean): boolean {
  if (ipVersion(ip) === null) return false;
  return bindToPort ? bindsItself(ip, port, answersDns) : capturesItself(ip, port);
}

/** Inputs are compared by identity, so places and routings that say the same are one object. */
function buildPlace(
  _owner: object,
  name: string,
  ip: string,
  otherIp: string,
  port: number,
  bindToPort: boolean,
  sidecar: string | null,
): ListenerPlace {
  return { name, ip, otherIp, port, bindToPort, sidecar };
}

function stableRouting(http: HttpRouting, place: ListenerPlace, cache: BuildCache): HttpRouting {
  return http.kind === "table"
    ? cache.get(buildTableRouting, place, http.name, http.forwardsByHost, http.takesGrpcWeb, http.asksWhoWasDialled)
    : cache.get(buildEndpointRouting, place, http.cluster, http.address);
}

function buildTableRouting(
  _place: ListenerPlace,
  name: string,
  forwardsByHost: boolean,
  takesGrpcWeb: boolean,
  asksWhoWasDialled: boolean,
): HttpRouting {
  return { kind: "table", name, forwardsByHost, takesGrpcWeb, asksWhoWasDialled };
}

function buildEndpointRouting(_place: ListenerPlace, cluster: string, address: string): HttpRouting {
  return { kind: "endpoint", cluster, address };
}
