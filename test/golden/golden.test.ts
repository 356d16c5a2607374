import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { type DescMessage, fromBinary, type JsonObject } from "@bufbuild/protobuf";
import { stringify } from "yaml";
import { ClusterSchema } from "../../src/gen/envoy/config/cluster/v3/cluster_pb.ts";
import { ClusterLoadAssignmentSchema } from "../../src/gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import { ListenerSchema } from "../../src/gen/envoy/config/listener/v3/listener_pb.ts";
import { RouteConfigurationSchema } from "../../src/gen/envoy/config/route/v3/route_pb.ts";
import { envoyJson } from "../../src/translate/envoy-registry.ts";
import { type ProxyResources, TYPE_URL, type TypeUrl } from "../../src/xds/resource-set.ts";
import { assertEnvoyAccepts, configWith } from "../support/accepted.ts";
import { envoyMissing } from "../support/envoy.ts";
import { meshOf, resourcesFor } from "../support/mesh.ts";

/**
 * NAME.in.yaml is a mesh whose first line, `# proxy: POD.NAMESPACE` or `# gateway: POD.NAMESPACE`, says whose proxy is
 * asked about; NAME.out.yaml is everything that this proxy is sent. `make golden` writes the outputs anew, to be reviewed as a diff.
 */

const folder = new URL(".", import.meta.url);
const names = readdirSync(folder)
  .filter((file) => file.endsWith(".in.yaml"))
  .map((file) => file.slice(0, -".in.yaml".length));

const read = (file: string) => readFileSync(new URL(file, folder), "utf8");

function translated(name: string): { proxy: string; resources: ProxyResources } {
  const yaml = read(`${name}.in.yaml`);
  const [, type, proxy] = /^# (proxy|gateway): (\S+)$/m.exec(yaml) ?? [];
  assert.ok(proxy !== undefined, `${name}.in.yaml does not begin with "# proxy: POD.NAMESPACE"`);
  return { proxy, resources: resourcesFor(meshOf(yaml), proxy, {}, type === "gateway" ? "router" : "sidecar") };
}

const kinds: readonly [heading: string, typeUrl: TypeUrl, schema: DescMessage][] = [
  ["clusters", TYPE_URL.cluster, ClusterSchema],
  ["endpoints", TYPE_URL.endpoint, ClusterLoadAssignmentSchema],
  ["listeners", TYPE_URL.listener, ListenerSchema],
  ["routes", TYPE_URL.route, RouteConfigurationSchema],
];

/** In order of name, as resource sets are. */
function print(resources: ProxyResources): string {
  const printed = kinds.map(([heading, typeUrl, schema]) => {
    const set = resources.get(typeUrl)?.byName ?? new Map();
    return [heading, [...set.values()].map(({ bytes }) => envoyJson(schema, fromBinary(schema, bytes)))];
  });
  return stringify(Object.fromEntries(printed), { lineWidth: 0, aliasDuplicateObjects: false });
}

test("there are meshes to compare", () => assert.ok(names.length > 10, `only ${names.join(", ")}`));

for (const name of names) {
  test(`${name} is translated as reviewed`, () => {
    const output = print(translated(name).resources);
    if (process.env.UPDATE_GOLDEN === "1") writeFileSync(new URL(`${name}.out.yaml`, folder), output);
    assert.equal(output, read(`${name}.out.yaml`), `review the difference, then run "make golden" to keep it`);
  });
}

test("a real Envoy accepts every one of them", { skip: envoyMissing() }, async () => {
  const configs = new Map<string, JsonObject>();
  for (const name of names) {
    const { proxy, resources } = translated(name);
    configs.set(name, configWith(resources, proxy));
  }
  await assertEnvoyAccepts(configs);
});
