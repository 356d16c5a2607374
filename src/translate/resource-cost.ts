import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import type { Metadata } from "../gen/envoy/config/core/v3/base_pb.ts";
import { FilterChainSchema } from "../gen/envoy/config/listener/v3/listener_components_pb.ts";
import { ListenerSchema } from "../gen/envoy/config/listener/v3/listener_pb.ts";
import { RouteSchema, VirtualHostSchema } from "../gen/envoy/config/route/v3/route_components_pb.ts";
import { type EncodedResource, TYPE_URL, type TypeUrl } from "../xds/resource-set.ts";

/** What of one encoded resource is there because of one object. */
export interface CostShare {
  /** The path that provenance gives (`/apis/…`), the host name of a service, or empty for what all share. */
  readonly owner: string;
  readonly bytes: number;
  /** Clusters, listeners or routes, as the resource's type is. */
  readonly count: number;
}

/** Endpoints say nothing of where they come from: they go with their cluster. */
export type CostedType = Exclude<TypeUrl, typeof TYPE_URL.endpoint | typeof TYPE_URL.secret>;

/**
 * Who one resource is there for, read from its provenance. Yields piece by piece, so that the caller can let others
 * have their turn within a large one; the bytes add up to the resource's.
 */
export function* costShares(typeUrl: CostedType, { name, bytes }: EncodedResource): Generator<CostShare> {
  switch (typeUrl) {
    case TYPE_URL.cluster:
      yield { owner: clusterOwner(name, bytes), bytes: bytes.length, count: 1 };
      return;
    case TYPE_URL.listener:
      yield* listenerShares(bytes);
      return;
    case TYPE_URL.route:
      yield* tableShares(bytes);
      return;
  }
}

/** A subset is there for the rule that names it; a rule only changes the cluster of the service as a whole. */
function clusterOwner(name: string, bytes: Uint8Array): string {
  const [, , subset] = name.split("|");
  return subset ? configOf(fromBinary(ClusterSchema, bytes).metadata) : hostOf(name);
}

/** Of `outbound|80|v1|reviews.bookstore.svc.cluster.local`; empty for clusters that no service has. */
function hostOf(clusterName: string): string {
  return clusterName.split("|")[3] ?? "";
}

function* listenerShares(bytes: Uint8Array): Generator<CostShare> {
  const { filterChains, defaultFilterChain, metadata } = fromBinary(ListenerSchema, bytes);
  const hosts = hostsOf(metadata);
  let rest = bytes.length;
  for (const chain of [...filterChains, ...(defaultFilterChain === undefined ? [] : [defaultFilterChain])]) {
    const owner = configOf(chain.metadata);
    if (owner === "") continue;
    const size = toBinary(FilterChainSchema, chain).length;
    rest -= size;
    yield { owner, bytes: size, count: 0 };
  }
  yield { owner: hosts.length === 1 ? (hosts[0] ?? "") : "", bytes: rest, count: 1 };
}

/** Of envoy/config/route/v3/route.proto. */
const VIRTUAL_HOSTS = 2;

function* tableShares(bytes: Uint8Array): Generator<CostShare> {
  let rest = bytes.length;
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field !== VIRTUAL_HOSTS) {
      reader.skip(wireType, field);
      continue;
    }
    const virtualHost = reader.bytes();
    rest -= virtualHost.length;
    yield* virtualHostShares(virtualHost);
  }
  yield { owner: "", bytes: rest, count: 0 };
}

/** What no VirtualService brought is the service's own. */
function* virtualHostShares(bytes: Uint8Array): Generator<CostShare> {
  const { name, routes } = fromBinary(VirtualHostSchema, bytes);
  const host = name.slice(0, name.lastIndexOf(":"));
  let rest = bytes.length;
  let own = 0;
  for (const route of routes) {
    const owner = configOf(route.metadata);
    if (owner === "") own++;
    else {
      const size = toBinary(RouteSchema, route).length;
      rest -= size;
      yield { owner, bytes: size, count: 1 };
    }
  }
  yield { owner: host, bytes: rest, count: own };
}

function configOf(metadata: Metadata | undefined): string {
  const config = metadata?.filterMetadata.istio?.config;
  return typeof config === "string" ? config : "";
}

function hostsOf(metadata: Metadata | undefined): string[] {
  const services = metadata?.filterMetadata.istio?.services;
  if (!Array.isArray(services)) return [];
  return services.flatMap((service) =>
    typeof service === "object" && service !== null && "host" in service ? String(service.host) : [],
  );
}
