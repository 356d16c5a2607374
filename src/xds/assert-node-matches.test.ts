import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import type { WorkloadIdentity } from "../ca/identity.ts";
import { TrysailError } from "../platform/errors.ts";
import { assertNodeMatches } from "./assert-node-matches.ts";
import { parseNode } from "./parse-node.ts";

const identity: WorkloadIdentity = {
  trustDomain: "cluster.local",
  namespace: "shop",
  serviceAccount: "cart",
  pod: { name: "cart-1", uid: "u" },
};

function node(qualified: string, metadata: JsonObject) {
  return parseNode({ id: `sidecar~10.0.0.1~${qualified}~x`, metadata });
}

test("a node that says what its credentials say passes, with or without a pod in them", () => {
  assertNodeMatches(identity, node("cart-1.shop", { SERVICE_ACCOUNT: "cart" }));
  const { pod: _, ...unbound } = identity;
  assertNodeMatches(unbound, node("any.shop", { SERVICE_ACCOUNT: "cart" }));
});

const refused: readonly { what: string; qualified: string; metadata: JsonObject }[] = [
  { what: "namespace", qualified: "cart-1.bank", metadata: { SERVICE_ACCOUNT: "cart" } },
  { what: "metadata SERVICE_ACCOUNT", qualified: "cart-1.shop", metadata: { SERVICE_ACCOUNT: "admin" } },
  { what: "metadata SERVICE_ACCOUNT", qualified: "cart-1.shop", metadata: {} },
  { what: "pod name", qualified: "cart-2.shop", metadata: { SERVICE_ACCOUNT: "cart" } },
];
for (const { what, qualified, metadata } of refused) {
  test(`another ${what} (${qualified}, ${JSON.stringify(metadata)}) is refused by name`, () => {
    assert.throws(
      () => assertNodeMatches(identity, node(qualified, metadata)),
      (error) =>
        error instanceof TrysailError &&
        error.code === "permission-denied" &&
        error.message.includes(`node's ${what} is`),
    );
  });
}
