import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { endpoint, istio, pod, service } from "../../../test/support/manifests.ts";
import { meshOf, resourcesFor } from "../../../test/support/mesh.ts";
import { ClusterSchema } from "../../gen/envoy/config/cluster/v3/cluster_pb.ts";
import { TYPE_URL } from "../../xds/resource-set.ts";

/** Which transport a cluster of PASSTHROUGH has, where these pods of v1 and v2 take mutual TLS. */
function transports(pods: readonly { readonly version: string; readonly tls: boolean }[]): (string | undefined)[] {
  const endpoints = pods.map(({ version, tls }, index) => {
    const one = { name: `web-${index}`, ip: `10.1.0.${index + 1}`, tls, labels: { version } };
    return pod(one) + endpoint("web", one, { tcp: 9090 });
  });
  const rule = istio("DestinationRule", "web", {
    host: "web",
    trafficPolicy: { loadBalancer: { simple: "PASSTHROUGH" } },
    subsets: ["v1", "v2"].map((version) => ({ name: version, labels: { version } })),
  });
  const web = service({ name: "web", ports: { tcp: 90 }, clusterIP: "10.96.0.1" });
  const mesh = meshOf(pod({ name: "caller", ip: "10.1.0.99" }) + web + rule + endpoints.join(""));
  const sent = resourcesFor(mesh, "caller.shop").get(TYPE_URL.cluster)?.byName;
  return ["", "v1", "v2"].map((subset) => {
    const resource = sent?.get(`outbound|90|${subset}|web.shop.svc.cluster.local`);
    assert.ok(resource);
    const { transportSocket, transportSocketMatches } = fromBinary(ClusterSchema, resource.bytes);
    assert.deepEqual(transportSocketMatches, [], "of an address that was dialled Envoy knows no labels");
    return transportSocket?.name;
  });
}

const TLS = "envoy.transport_sockets.tls";
const v1 = { version: "v1", tls: true };
const rows: [what: string, pods: Parameters<typeof transports>[0], expected: (string | undefined)[]][] = [
  ["all endpoints take it", [v1, { version: "v2", tls: true }], [TLS, TLS, TLS]],
  ["some do", [v1, { version: "v2", tls: false }], [undefined, TLS, undefined]],
  ["none does", [{ version: "v1", tls: false }], [undefined, undefined, undefined]],
  ["there are none", [], [undefined, undefined, undefined]],
];
for (const [what, pods, expected] of rows) {
  test(`PASSTHROUGH in mutual TLS: ${what}`, () => assert.deepEqual(transports(pods), expected));
}
