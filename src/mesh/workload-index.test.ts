import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { labelsMatch } from "./labels.ts";
import { Meetings, selectionKey, WorkloadIndex } from "./workload-index.ts";

const labels = fc.dictionary(fc.constantFrom("app", "v", "tier"), fc.constantFrom("1", "2"), { maxKeys: 3 });
const workloads = fc.array(fc.record({ namespace: fc.constantFrom("shop", "edge"), labels }), { maxLength: 12 });

test("workloads are found by their labels as by looking at all of them", () => {
  fc.assert(
    fc.property(workloads, labels, fc.constantFrom("shop", "edge", "none", undefined), (all, wanted, namespace) => {
      assert.deepEqual(
        new WorkloadIndex(all).selected(wanted, namespace),
        all.filter((one) => (namespace ?? one.namespace) === one.namespace && labelsMatch(wanted, one.labels)),
      );
    }),
  );
});

test("nothing is kept of a selection of nobody, of which there are as many as somebody asks for", () => {
  const index = new WorkloadIndex([{ namespace: "shop", labels: { app: "cart" } }]);
  assert.deepEqual(index.selected({ app: "1" }), []);
  assert.equal(index.selected({ app: "1" }), index.selected({ app: "2" }));
  assert.equal(index.selected({ app: "cart" }), index.selected({ app: "cart" }));
});

test("selections meet that have a workload in common, and no others", () => {
  fc.assert(
    fc.property(workloads, fc.array(labels, { maxLength: 5 }), labels, (all, selections, asked) => {
      const index = new WorkloadIndex(all);
      const meetings = new Meetings(new Map(selections.map((one) => [selectionKey(one), index.selected(one)])));
      const common = (one: Record<string, string>) =>
        all.some((workload) => labelsMatch(one, workload.labels) && labelsMatch(asked, workload.labels));
      assert.deepEqual(meetings.with(index.selected(asked)), new Set(selections.filter(common).map(selectionKey)));
    }),
  );
});
