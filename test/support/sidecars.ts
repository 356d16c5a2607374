import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { mergeBootstrap } from "../../src/init/merge-bootstrap.ts";
import type { MeshSnapshot } from "../../src/mesh/snapshot.ts";
import { type PlaceholderIdentity, selfContainedConfig } from "../../src/translate/self-contained.ts";
import { isObject, objects } from "./accepted.ts";
import { type RunningEnvoy, startEnvoy } from "./envoy.ts";
import { resourcesFor } from "./mesh.ts";

/** One proxy to run: what the one beside `pod` (`POD.NAMESPACE`) is sent. */
export interface Sidecar {
  readonly mesh: MeshSnapshot;
  readonly pod: string;
  /** A `router` stands alone. */
  readonly type?: "router";
  /** Of its node. */
  readonly metadata?: JsonObject;
  /** HTTP filters in front of those that it is sent, for what the mesh cannot say yet. */
  readonly filters?: readonly JsonObject[];
}

/** What all of them present, and trust. */
export interface SidecarIdentity extends PlaceholderIdentity {
  /** The secret `ROOTCA` in place of one with `rootPem` alone. */
  readonly trustBundle?: JsonObject;
}

export interface RunningSidecars {
  readonly envoy: RunningEnvoy;
  /** Port on 127.0.0.1 where a sidecar has one of its listeners. */
  port(sidecar: string, listener: string): number;
}

const PROXY_PROTOCOL = "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol";

/**
 * Runs what sidecars are sent in one real Envoy, without the interception rules of a pod: every listener is bound to a
 * free port of 127.0.0.1, and inbound ones learn the original destination from a PROXY header in place of iptables.
 * Everything else is as translated. All have the same certificate. `own` is merged over Envoy's bootstrap.
 */
export async function startSidecars(
  t: TestContext,
  identity: SidecarIdentity,
  sidecars: Readonly<Record<string, Sidecar>>,
  own: JsonObject = {},
): Promise<RunningSidecars> {
  const listeners: JsonObject[] = [];
  const clusters = new Map<string, JsonValue>();
  let secrets: JsonValue = [];
  for (const [key, { mesh, pod, type, metadata, filters = [] }] of Object.entries(sidecars)) {
    const config = selfContainedConfig(
      resourcesFor(mesh, pod, metadata, type),
      "sidecar~127.0.0.1~test~test",
      identity,
    );
    const { staticResources } = config;
    assert.ok(isObject(staticResources));
    secrets = objects(staticResources.secrets).map((secret) =>
      secret.name === "ROOTCA" ? (identity.trustBundle ?? secret) : secret,
    );
    for (const listener of objects(staticResources.listeners))
      listeners.push(withFilters(unbound(listener, key), filters));
    for (const cluster of objects(staticResources.clusters)) {
      const name = String(cluster.name);
      assert.deepEqual(clusters.get(name) ?? cluster, cluster, `two meshes differ in ${name}`);
      clusters.set(name, cluster);
    }
  }
  const bootstrap = { staticResources: { listeners, clusters: [...clusters.values()], secrets } };
  const envoy = await startEnvoy(t, mergeBootstrap(bootstrap, own));
  const found: { listener_statuses: { name: string; local_address: { socket_address: { port_value: number } } }[] } =
    JSON.parse(await envoy.admin("/listeners?format=json"));
  const ports = new Map(
    found.listener_statuses.map(({ name, local_address }) => [name, local_address.socket_address.port_value]),
  );
  return {
    envoy,
    port(sidecar, listener) {
      const port = ports.get(`${sidecar}/${listener}`);
      assert.ok(port !== undefined, `no listener ${listener} of ${sidecar} among ${[...ports.keys()].join(", ")}`);
      return port;
    },
  };
}

function unbound(listener: JsonObject, key: string): JsonObject {
  const { bindToPort: _, useOriginalDst: __, ...rest } = listener;
  return {
    ...rest,
    name: `${key}/${String(listener.name)}`,
    address: { socketAddress: { address: "127.0.0.1", portValue: 0 } },
    listenerFilters: objects(listener.listenerFilters).map((filter) =>
      filter.name === "envoy.filters.listener.original_dst"
        ? { name: "envoy.filters.listener.proxy_protocol", typedConfig: { "@type": PROXY_PROTOCOL } }
        : filter,
    ),
  };
}

function withFilters(listener: JsonObject, filters: readonly JsonObject[]): JsonObject {
  const ofConnection = (filter: JsonObject): JsonObject => {
    const { typedConfig } = filter;
    if (!isObject(typedConfig) || typedConfig.httpFilters === undefined) return filter;
    const httpFilters = [...filters, ...objects(typedConfig.httpFilters)];
    return { ...filter, typedConfig: { ...typedConfig, httpFilters } };
  };
  const filterChains = objects(listener.filterChains).map((chain) => ({
    ...chain,
    filters: objects(chain.filters).map(ofConnection),
  }));
  return filters.length === 0 ? listener : { ...listener, filterChains };
}
