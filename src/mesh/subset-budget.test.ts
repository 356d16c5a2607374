import assert from "node:assert/strict";
import { test } from "node:test";
import type { DestinationRule } from "./istio/destination-rule.ts";
import { createSubsetBudget, MOST_SUBSET_CLUSTERS } from "./subset-budget.ts";

const rule: DestinationRule = {
  apiVersion: "networking.istio.io/v1",
  kind: "DestinationRule",
  metadata: { name: "wild", namespace: "shop", labels: {}, annotations: {} },
  spec: { host: "*.test", subsets: [{ name: "v1" }] },
};

test("what is left of a rule without room is the same object each time, so that what was built of it stays", () => {
  const withoutRoom = () => createSubsetBudget()(rule, MOST_SUBSET_CLUSTERS + 1);
  assert.deepEqual(withoutRoom().spec, { host: "*.test", subsets: [] });
  assert.equal(withoutRoom(), withoutRoom());
  assert.equal(createSubsetBudget()(rule, MOST_SUBSET_CLUSTERS), rule);
});
