import assert from "node:assert/strict";
import { test } from "node:test";
import { istio } from "../../test/support/manifests.ts";
import { meshOf } from "../../test/support/mesh.ts";
import { buildMutualTlsModes, type MutualTlsModes } from "./peer-authentication-mode.ts";

const policy = (name: string, spec: object, namespace = "shop", createdAt?: string) =>
  istio("PeerAuthentication", name, spec, namespace).replace(
    '"metadata":{',
    createdAt === undefined ? '"metadata":{' : `"metadata":{"creationTimestamp":"${createdAt}",`,
  );
const mtls = (mode: string) => ({ mtls: { mode } });
const ofWeb = (spec: object) => ({ selector: { matchLabels: { app: "web" } }, ...spec });
const ROOT = "trysail-system";

const rows: [name: string, policies: string[], expected: MutualTlsModes][] = [
  ["no policy is permissive", [], { mode: "PERMISSIVE", byPort: {} }],
  ["the mesh's holds", [policy("a", mtls("STRICT"), ROOT)], { mode: "STRICT", byPort: {} }],
  [
    "the namespace's comes before the mesh's",
    [policy("a", mtls("STRICT"), ROOT), policy("a", mtls("DISABLE"))],
    { mode: "DISABLE", byPort: {} },
  ],
  [
    "the workload's comes before the namespace's",
    [policy("a", mtls("STRICT")), policy("b", ofWeb(mtls("DISABLE")))],
    { mode: "DISABLE", byPort: {} },
  ],
  [
    "one that sets nothing leaves it to the next",
    [policy("a", mtls("STRICT"), ROOT), policy("b", {}), policy("c", ofWeb(mtls("UNSET")))],
    { mode: "STRICT", byPort: {} },
  ],
  [
    "other workloads' do not count",
    [policy("a", { selector: { matchLabels: { app: "db" } }, ...mtls("STRICT") })],
    { mode: "PERMISSIVE", byPort: {} },
  ],
  ["other namespaces' do not count", [policy("a", mtls("STRICT"), "edge")], { mode: "PERMISSIVE", byPort: {} }],
  [
    "one of the root namespace that selects workloads means its own alone",
    [policy("a", ofWeb(mtls("STRICT")), ROOT)],
    { mode: "PERMISSIVE", byPort: {} },
  ],
  [
    "an empty selector selects the namespace",
    [policy("a", { selector: { matchLabels: {} }, ...mtls("STRICT") })],
    { mode: "STRICT", byPort: {} },
  ],
  [
    "the oldest of equals holds",
    [
      policy("a", mtls("STRICT"), "shop", "2026-01-02T00:00:00Z"),
      policy("b", mtls("DISABLE"), "shop", "2026-01-01T00:00:00Z"),
    ],
    { mode: "DISABLE", byPort: {} },
  ],
  [
    "the first by name of those of one age holds",
    [policy("b", mtls("STRICT")), policy("a", mtls("DISABLE"))],
    { mode: "DISABLE", byPort: {} },
  ],
  [
    "ports have their own, and those that set none have the workload's",
    [
      policy("a", mtls("STRICT")),
      policy("b", ofWeb({ portLevelMtls: { "80": { mode: "DISABLE" }, "81": { mode: "UNSET" }, "82": {} } })),
    ],
    { mode: "STRICT", byPort: { "80": "DISABLE", "81": "STRICT", "82": "STRICT" } },
  ],
];

for (const [name, policies, expected] of rows) {
  test(name, () => {
    const mesh = meshOf(policies.join(""));
    const modes = buildMutualTlsModes(mesh.peerAuthenticationsFor("shop"), { app: "web", tier: "gold" }, "shop");
    assert.deepEqual(modes, expected);
  });
}
