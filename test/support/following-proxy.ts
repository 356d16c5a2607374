import { create, fromBinary, type JsonObject, toBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { Client, type ClientDuplexStream, credentials } from "@grpc/grpc-js";
import { Cluster_DiscoveryType, ClusterSchema } from "../../src/gen/envoy/config/cluster/v3/cluster_pb.ts";
import { ClusterLoadAssignmentSchema } from "../../src/gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import { ListenerSchema } from "../../src/gen/envoy/config/listener/v3/listener_pb.ts";
import { RouteConfigurationSchema } from "../../src/gen/envoy/config/route/v3/route_pb.ts";
import { HttpConnectionManagerSchema } from "../../src/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from "../../src/gen/envoy/service/discovery/v3/discovery_pb.ts";
import { TYPE_URL } from "../../src/xds/resource-set.ts";

export interface FollowedNode {
  readonly id: string;
  readonly metadata: JsonObject;
}

/** The types that a proxy's whole configuration has, but for secrets, which differ from one control plane to another. */
const TYPES = ["cluster", "endpoint", "listener", "route"] as const;
type Type = (typeof TYPES)[number];

interface Held {
  readonly version: string;
  readonly bytes: Uint8Array;
}

/**
 * What a proxy has of a control plane over a real stream: everything is accepted, and the endpoints of its clusters and
 * the route tables of its listeners are asked for by name, as Envoy does.
 */
export abstract class FollowingProxy {
  protected readonly held: Record<Type, Map<string, Held>>;
  protected readonly node: FollowedNode;
  readonly #stream: ClientDuplexStream<Buffer, Buffer>;
  readonly #client: Client;

  /** `before` is the proxy whose connection was lost. */
  constructor(port: number, node: FollowedNode, method: string, before?: FollowingProxy) {
    const kept = (type: Type) => new Map(before?.held[type]);
    this.held = {
      cluster: kept("cluster"),
      endpoint: kept("endpoint"),
      listener: kept("listener"),
      route: kept("route"),
    };
    this.node = node;
    // Connections of one proxy are its own.
    const channel = { "grpc.use_local_subchannel_pool": 1, "grpc.max_receive_message_length": -1 };
    this.#client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), channel);
    const asIs = (bytes: Buffer) => bytes;
    const path = `/envoy.service.discovery.v3.AggregatedDiscoveryService/${method}`;
    this.#stream = this.#client.makeBidiStreamRequest(path, asIs, asIs);
    this.#stream.on("data", (bytes: Buffer) => this.take(bytes));
    // A proxy that lost its connection is told by what it has not got.
    this.#stream.on("error", () => {});
  }

  /** The bytes of all that it has, by type and name. */
  state(): Record<Type, Record<string, string>> {
    const text = (type: Type) =>
      Object.fromEntries(
        [...this.held[type]]
          .map(([name, { bytes }]) => [name, Buffer.from(bytes).toString("base64")] as const)
          .sort(([a], [b]) => (a < b ? -1 : 1)),
      );
    return { cluster: text("cluster"), endpoint: text("endpoint"), listener: text("listener"), route: text("route") };
  }

  /** Whether it has something of every type that what it has refers to. */
  isWhole(): boolean {
    const { cluster, endpoint, listener, route } = this.held;
    if (cluster.size === 0 || listener.size === 0) return false;
    return (
      this.wanted("endpoint").every((name) => endpoint.has(name)) &&
      this.wanted("route").every((name) => route.has(name))
    );
  }

  close(): void {
    this.#stream.cancel();
    this.#client.close();
  }

  protected abstract take(bytes: Uint8Array): void;

  protected send(bytes: Uint8Array): void {
    this.#stream.write(Buffer.from(bytes));
  }

  /** Names that what it has refers to: of endpoints by clusters, of route tables by listeners. */
  protected wanted(type: "endpoint" | "route"): string[] {
    return type === "endpoint"
      ? [...this.held.cluster.values()].flatMap(({ bytes }) => endpointsOf(bytes))
      : [...new Set([...this.held.listener.values()].flatMap(({ bytes }) => tablesOf(bytes)))];
  }

  /** Of what nothing refers to any more; it may have been on its way when the proxy lost interest. */
  protected forgetUnwanted(): void {
    for (const type of ["endpoint", "route"] as const) {
      const wanted = new Set(this.wanted(type));
      for (const name of this.held[type].keys()) if (!wanted.has(name)) this.held[type].delete(name);
    }
  }
}

export class DeltaFollowingProxy extends FollowingProxy {
  readonly #subscribed = { endpoint: new Set<string>(), route: new Set<string>() };

  constructor(port: number, node: FollowedNode, before?: DeltaFollowingProxy) {
    super(port, node, "DeltaAggregatedResources", before);
    this.#ask("cluster", { node: this.node, initialResourceVersions: this.#versions("cluster") });
    this.#follow("endpoint");
    this.#ask("listener", { initialResourceVersions: this.#versions("listener") });
    this.#follow("route");
  }

  protected override take(bytes: Uint8Array): void {
    const { typeUrl, nonce, resources, removedResources } = fromBinary(DeltaDiscoveryResponseSchema, bytes);
    const type = typeOf(typeUrl);
    for (const { name, version, resource } of resources) {
      this.held[type].set(name, { version, bytes: resource?.value ?? new Uint8Array() });
    }
    for (const name of removedResources) this.held[type].delete(name);
    if (type === "cluster") this.#follow("endpoint");
    if (type === "listener") this.#follow("route");
    this.forgetUnwanted();
    this.#ask(type, { responseNonce: nonce });
  }

  #follow(type: "endpoint" | "route"): void {
    const subscribed = this.#subscribed[type];
    const wanted = new Set(this.wanted(type));
    const added = [...wanted].filter((name) => !subscribed.has(name));
    const gone = [...subscribed].filter((name) => !wanted.has(name));
    if (added.length + gone.length === 0) return;
    const isFirst = subscribed.size === 0;
    for (const name of added) subscribed.add(name);
    for (const name of gone) subscribed.delete(name);
    this.#ask(type, {
      resourceNamesSubscribe: added,
      resourceNamesUnsubscribe: gone,
      initialResourceVersions: isFirst ? this.#versions(type) : {},
    });
  }

  #versions(type: Type): Record<string, string> {
    return Object.fromEntries([...this.held[type]].map(([name, { version }]) => [name, version]));
  }

  #ask(type: Type, rest: Omit<Parameters<typeof create<typeof DeltaDiscoveryRequestSchema>>[1], "typeUrl">): void {
    const request = create(DeltaDiscoveryRequestSchema, { ...rest, typeUrl: TYPE_URL[type] });
    this.send(toBinary(DeltaDiscoveryRequestSchema, request));
  }
}

export class SotwFollowingProxy extends FollowingProxy {
  readonly #answered = new Map<Type, { readonly versionInfo: string; readonly responseNonce: string }>();
  readonly #asked = { endpoint: "", route: "" };

  constructor(port: number, node: FollowedNode, before?: SotwFollowingProxy) {
    super(port, node, "StreamAggregatedResources", before);
    this.#ask("cluster", [], this.node);
    this.#follow("endpoint");
    this.#ask("listener", []);
    this.#follow("route");
  }

  protected override take(bytes: Uint8Array): void {
    const { typeUrl, versionInfo, nonce, resources } = fromBinary(DiscoveryResponseSchema, bytes);
    const type = typeOf(typeUrl);
    const isWhole = type === "cluster" || type === "listener";
    if (isWhole) this.held[type].clear();
    for (const { value } of resources) this.held[type].set(nameOf(type, value), { version: "", bytes: value });
    this.#answered.set(type, { versionInfo, responseNonce: nonce });
    if (type === "cluster") this.#follow("endpoint");
    if (type === "listener") this.#follow("route");
    this.forgetUnwanted();
    this.#ask(type, isWhole ? [] : this.wanted(type));
  }

  #follow(type: "endpoint" | "route"): void {
    const names = this.wanted(type);
    const key = names.toSorted().join(" ");
    if (key === this.#asked[type]) return;
    this.#asked[type] = key;
    this.#ask(type, names);
  }

  #ask(type: Type, resourceNames: string[], node?: FollowedNode): void {
    const request = create(DiscoveryRequestSchema, {
      ...(node === undefined ? {} : { node }),
      ...this.#answered.get(type),
      typeUrl: TYPE_URL[type],
      resourceNames,
    });
    this.send(toBinary(DiscoveryRequestSchema, request));
  }
}

function typeOf(typeUrl: string): Type {
  const type = TYPES.find((known) => TYPE_URL[known] === typeUrl);
  if (type === undefined) throw new Error(`a response of ${typeUrl}, which nobody asked for`);
  return type;
}

function nameOf(type: Type, bytes: Uint8Array): string {
  switch (type) {
    case "cluster":
      return fromBinary(ClusterSchema, bytes).name;
    case "endpoint":
      return fromBinary(ClusterLoadAssignmentSchema, bytes).clusterName;
    case "listener":
      return fromBinary(ListenerSchema, bytes).name;
    case "route":
      return fromBinary(RouteConfigurationSchema, bytes).name;
  }
}

function endpointsOf(bytes: Uint8Array): string[] {
  const { name, clusterDiscoveryType, edsClusterConfig } = fromBinary(ClusterSchema, bytes);
  const isEds = clusterDiscoveryType.case === "type" && clusterDiscoveryType.value === Cluster_DiscoveryType.EDS;
  return isEds ? [edsClusterConfig?.serviceName || name] : [];
}

function tablesOf(bytes: Uint8Array): string[] {
  const { filterChains, defaultFilterChain } = fromBinary(ListenerSchema, bytes);
  const chains = defaultFilterChain === undefined ? filterChains : [...filterChains, defaultFilterChain];
  return chains
    .flatMap(({ filters }) => filters)
    .flatMap(({ configType }) => {
      const packed = configType.case === "typedConfig" ? configType.value : undefined;
      const manager = packed && anyUnpack(packed, HttpConnectionManagerSchema);
      return manager?.routeSpecifier.case === "rds" ? [manager.routeSpecifier.value.routeConfigName] : [];
    });
}
