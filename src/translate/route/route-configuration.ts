import { create, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { RouteSchema } from "../../gen/envoy/config/route/v3/route_components_pb.ts";
import { RouteConfigurationSchema } from "../../gen/envoy/config/route/v3/route_pb.ts";
import { MOST_BODY_BYTES } from "../../mesh/check-http-route.ts";
import { type EncodedResource, encodedResource } from "../../xds/resource-set.ts";
import type { OutboundPolicy } from "../outbound-policy.ts";
import { buildDefaultRoute } from "./http-route.ts";
import { type EncodedVirtualHost, encodeVirtualHost } from "./virtual-host.ts";

/**
 * The routes of one outbound HTTP port, or of one address's. Encoded virtual hosts are put together as they are: a
 * protobuf message is the concatenation of its fields, so one changed service costs one virtual host.
 */
export function buildRouteConfiguration(
  virtualHosts: readonly EncodedVirtualHost[],
  name: string,
  policy: OutboundPolicy,
): EncodedResource {
  const hasCatchAll = virtualHosts.some(({ domains }) => domains.includes("*"));
  return buildRouteTable(hasCatchAll ? virtualHosts : [...virtualHosts, catchAll(policy)], name);
}

/** A table of these hosts alone: requests for others are not found. */
export function buildRouteTable(virtualHosts: readonly EncodedVirtualHost[], name: string): EncodedResource {
  const head = create(RouteConfigurationSchema, {
    name,
    validateClusters: false,
    ignorePortInHostMatching: true,
    maxDirectResponseBodySizeBytes: MOST_BODY_BYTES,
  });
  const writer = new BinaryWriter().raw(toBinary(RouteConfigurationSchema, head));
  const field = RouteConfigurationSchema.field.virtualHosts.number;
  for (const { bytes } of virtualHosts) {
    writer.tag(field, WireType.LengthDelimited).bytes(bytes);
  }
  return encodedResource(name, writer.finish());
}

/** Hosts that the mesh does not know: passed on, once, or refused with 502 as Istio does. */
function catchAll({ mode, cluster }: OutboundPolicy): EncodedVirtualHost {
  if (mode === "ALLOW_ANY") return encodeVirtualHost("allow_any", ["*"], [buildDefaultRoute(cluster, {})]);
  const refusal = create(RouteSchema, {
    name: "block_all",
    match: { pathSpecifier: { case: "prefix", value: "/" } },
    action: { case: "directResponse", value: { status: 502 } },
  });
  return encodeVirtualHost("block_all", ["*"], [refusal]);
}
