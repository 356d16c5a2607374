import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { istio, pod, service } from "../../../test/support/manifests.ts";
import { meshOf, resourcesFor } from "../../../test/support/mesh.ts";
import { type Listener, ListenerSchema } from "../../gen/envoy/config/listener/v3/listener_pb.ts";
import { TYPE_URL } from "../../xds/resource-set.ts";

function inbound(ports: Readonly<Record<string, number>>, mode: string): Listener {
  const mesh = meshOf(
    pod({ name: "web-0", ip: "10.1.0.1", labels: { app: "web" } }) +
      service({ name: "web", ports }) +
      istio("PeerAuthentication", "mode", { mtls: { mode } }),
  );
  const found = resourcesFor(mesh, "web-0.shop").get(TYPE_URL.listener)?.byName.get("virtualInbound");
  assert.ok(found !== undefined);
  return fromBinary(ListenerSchema, found.bytes);
}

const namesOf = ({ listenerFilters }: Listener) => listenerFilters.map(({ name }) => name.split(".").at(-1));

// Envoy keeps connections where a listener's chains alone change.
for (const mode of ["STRICT", "PERMISSIVE", "DISABLE"]) {
  test(`${mode}: a port that declares HTTP changes nothing of the listener but its chains`, () => {
    const before = inbound({ "http-a": 80, "tcp-a": 90 }, mode);
    const after = inbound({ "http-a": 80, "grpc-b": 81, "tcp-a": 90 }, mode);
    assert.notDeepEqual(after.filterChains, before.filterChains);
    assert.deepEqual({ ...after, filterChains: [] }, { ...before, filterChains: [] });
  });
}

const OF_MODES: readonly [mode: string, filters: readonly string[]][] = [
  ["STRICT", ["original_dst", "tls_inspector"]],
  ["PERMISSIVE", ["original_dst", "tls_inspector", "http_inspector"]],
  ["DISABLE", ["original_dst", "tls_inspector", "http_inspector"]],
];
for (const [mode, filters] of OF_MODES) {
  test(`${mode}: bytes are looked into for what chains are told apart by`, () => {
    assert.deepEqual(namesOf(inbound({ http: 80 }, mode)), filters);
  });
}
