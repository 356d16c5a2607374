import { create } from "@bufbuild/protobuf";
import { MetadataSchema } from "../../gen/envoy/config/core/v3/base_pb.ts";
import type { MeshService } from "../../mesh/mesh-service.ts";
import { ADDRESS_KEY } from "../endpoint/assignment.ts";
import { outboundClusterName } from "../names.ts";
import { buildDefaultRoute } from "./http-route.ts";
import { podDomains } from "./service-domains.ts";
import { type EncodedVirtualHost, encodeVirtualHost } from "./virtual-host.ts";

/** Requests that the sidecar itself is asked, for one pod of a headless service by its own name, go to that pod alone. */
export function buildPodVirtualHost(
  service: MeshService,
  port: number,
  podName: string,
  address: string,
  sameNamespace: boolean,
): EncodedVirtualHost {
  const route = buildDefaultRoute(outboundClusterName(service.hostname, port), null);
  if (route.action.case === "route") {
    route.action.value.metadataMatch = create(MetadataSchema, {
      filterMetadata: { "envoy.lb": { [ADDRESS_KEY]: address } },
    });
  }
  return encodeVirtualHost(`${podName}.${service.hostname}:${port}`, podDomains(podName, service, sameNamespace), [
    route,
  ]);
}
