import assert from "node:assert/strict";
import { test } from "node:test";
import { istio, pod, service } from "../../test/support/manifests.ts";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { objectsOf } from "../../test/support/mesh.ts";
import { analyzeReferences } from "../mesh/analyze.ts";
import { buildDefaultMeshConfig } from "../mesh/mesh-config.ts";
import type { ObjectSet } from "../mesh/object-set.ts";
import { createMeshState } from "./mesh-state.ts";
import { createReferenceAnalysis } from "./reference-analysis.ts";

const routed = (host: string) =>
  istio("VirtualService", host, { hosts: [host], http: [{ route: [{ destination: { host } }] }] });
const set: ObjectSet = {
  objects: objectsOf(routed("far") + routed("nowhere")),
  findings: [],
  remotes: [
    // Its port declares no protocol, of which its own cluster warns.
    { cluster: "east", objects: objectsOf(service({ name: "far", ports: { odd: 80 }, clusterIP: "10.96.0.9" })) },
    { cluster: "west", objects: objectsOf(pod({ name: "far-0", ip: "10.2.0.1" })) },
  ],
};

test("references may lead to other clusters, and nothing is told of the objects there", (t) => {
  const told: string[] = [];
  const state = createMeshState({
    source: { start: async () => {}, stop: async () => {}, current: () => set, onChange: () => () => {} },
    clock: createManualClock(0),
    trustDomain: "cluster.local",
    systemNamespace: "trysail-system",
    clusterId: "Kubernetes",
    analyze: analyzeReferences,
    onChange: () => {},
    onFindings: (findings) =>
      told.push(...findings.map(({ object, field }) => `${object?.kind} ${object?.name} ${field}`)),
  });
  t.after(() => state.stop());
  assert.deepEqual(
    new Set(told.map((text) => text.split(" ").slice(0, 2).join(" "))),
    new Set(["VirtualService nowhere"]),
  );
});

test("a review does not warn of hosts that another cluster has", () => {
  const analyze = createReferenceAnalysis({
    current: () => set,
    config: () => buildDefaultMeshConfig("cluster.local", "trysail-system"),
  });
  const warned = set.objects.filter((object) => analyze(object).length > 0);
  assert.deepEqual(
    warned.map(({ metadata }) => metadata.name),
    ["nowhere"],
  );
});
