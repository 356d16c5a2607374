import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { buildMutualTlsModes } from "./peer-authentication-mode.ts";
import { indexStrictness } from "./strict-workloads.ts";

const labels = fc.dictionary(fc.constantFrom("app", "v"), fc.constantFrom("1", "2"), { maxKeys: 2 });
const namespace = fc.constantFrom("shop", "edge", "root", "older-root");
const drawn = fc.record({
  namespace,
  matchLabels: labels,
  mode: fc.constantFrom("STRICT", "PERMISSIVE", "UNSET"),
  day: fc.integer({ min: 1, max: 4 }),
  port: fc.option(fc.constantFrom("STRICT", "DISABLE", "UNSET"), { nil: undefined }),
});

test("a workload takes mutual TLS only where all policies together say so", () => {
  const roots = ["root", "older-root"];
  fc.assert(
    fc.property(fc.array(drawn, { maxLength: 8 }), fc.record({ namespace, labels }), (policies, workload) => {
      const all = policies.map(({ namespace, matchLabels, mode, day, port }, at) => ({
        apiVersion: "security.istio.io/v1",
        kind: "PeerAuthentication" as const,
        metadata: {
          name: `p${at}`,
          namespace,
          labels: {},
          annotations: {},
          creationTimestamp: `2026-01-0${day}T00:00:00Z`,
        },
        spec: { selector: { matchLabels }, mtls: { mode }, ...(port && { portLevelMtls: { 80: { mode: port } } }) },
      }));
      const reaching = all.filter(({ metadata }) => [...roots, workload.namespace].includes(metadata.namespace));
      const { mode, byPort } = buildMutualTlsModes(reaching, workload.labels, workload.namespace);
      assert.equal(
        indexStrictness(all, roots)(workload),
        [mode, ...Object.values(byPort)].every((each) => each === "STRICT"),
      );
    }),
  );
});
