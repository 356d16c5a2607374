import { type DescMessage, fromBinary, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import { ClusterLoadAssignmentSchema } from "../gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import { ListenerSchema } from "../gen/envoy/config/listener/v3/listener_pb.ts";
import { RouteConfigurationSchema } from "../gen/envoy/config/route/v3/route_pb.ts";
import { MAX_REGEX_SIZE } from "../mesh/regex-size.ts";
import { type ProxyResources, TYPE_URL, type TypeUrl } from "../xds/resource-set.ts";
import { envoyJson } from "./envoy-registry.ts";

/** What stands in for the proxy's own certificate, which nobody but the proxy is sent. PEM. */
export interface PlaceholderIdentity {
  readonly chainPem: string;
  readonly keyPem: string;
  readonly rootPem: string;
}

/**
 * What a proxy is sent, as one bootstrap that needs no control plane: endpoints and routes stand where they are
 * referred to, secrets are placeholders.
 */
export function selfContainedConfig(
  resources: ProxyResources,
  nodeId: string,
  identity: PlaceholderIdentity,
): JsonObject {
  const assignments = jsonByName(resources, TYPE_URL.endpoint, ClusterLoadAssignmentSchema);
  const routes = jsonByName(resources, TYPE_URL.route, RouteConfigurationSchema);
  const clusters = [...jsonByName(resources, TYPE_URL.cluster, ClusterSchema).values()].map((cluster) =>
    withEndpoints(cluster, assignments),
  );
  const listeners = [...jsonByName(resources, TYPE_URL.listener, ListenerSchema).values()];
  return {
    node: { id: nodeId, cluster: nodeId.split("~")[2] ?? "" },
    // As in the proxy's bootstrap: Envoy would else refuse what it takes there.
    layeredRuntime: {
      layers: [{ name: "trysail", staticLayer: { "re2.max_program_size.error_level": MAX_REGEX_SIZE } }],
    },
    staticResources: {
      listeners: listeners.map((listener) => inline(listener, routes)),
      clusters: clusters.map((cluster) => inline(cluster, routes)),
      secrets: [
        {
          name: "default",
          tlsCertificate: {
            certificateChain: { inlineString: identity.chainPem },
            privateKey: { inlineString: identity.keyPem },
          },
        },
        { name: "ROOTCA", validationContext: { trustedCa: { inlineString: identity.rootPem } } },
        ...credentials([...clusters, ...listeners], identity),
      ],
    },
  };
}

/** What stands in for the Secrets and files that rules and Gateways name, by Istio's names of them. */
function credentials(
  resources: readonly JsonValue[],
  { chainPem, keyPem, rootPem }: PlaceholderIdentity,
): JsonObject[] {
  const tlsCertificate = { certificateChain: { inlineString: chainPem }, privateKey: { inlineString: keyPem } };
  const validationContext = { trustedCa: { inlineString: rootPem } };
  const quoted = JSON.stringify(resources).match(/"(?:kubernetes:\/\/|file-cert:|file-root:)(?:[^"\\]|\\.)+"/g) ?? [];
  const names = quoted.map((text) => String(JSON.parse(text)));
  const isTrust = (name: string) => name.startsWith("file-root:") || /^kubernetes:.*-cacert$/.test(name);
  return [...new Set(names)]
    .sort()
    .map((name): JsonObject => (isTrust(name) ? { name, validationContext } : { name, tlsCertificate }));
}

function jsonByName(resources: ProxyResources, typeUrl: TypeUrl, schema: DescMessage): Map<string, JsonValue> {
  const set = resources.get(typeUrl)?.byName ?? new Map();
  return new Map([...set].map(([name, { bytes }]) => [name, envoyJson(schema, fromBinary(schema, bytes))]));
}

function withEndpoints(cluster: JsonValue, assignments: ReadonlyMap<string, JsonValue>): JsonValue {
  if (!isObject(cluster) || cluster.type !== "EDS") return cluster;
  const { edsClusterConfig: _, type: __, ...rest } = cluster;
  const name = String(cluster.name);
  return { ...rest, type: "STATIC", loadAssignment: assignments.get(name) ?? { clusterName: name } };
}

/** Puts route tables in the place of their names, and leaves out where secrets come from: the bootstrap has them. */
function inline(value: JsonValue, routes: ReadonlyMap<string, JsonValue>): JsonValue {
  if (Array.isArray(value)) return value.map((member) => inline(member, routes));
  if (!isObject(value)) return value;
  const result: JsonObject = {};
  for (const [key, member] of Object.entries(value)) {
    if (key === "sdsConfig") continue;
    if (key === "rds" && isObject(member)) {
      const name = String(member.routeConfigName);
      result.routeConfig = routes.get(name) ?? { name };
    } else result[key] = inline(member, routes);
  }
  return result;
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
