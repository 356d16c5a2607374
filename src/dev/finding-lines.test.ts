import assert from "node:assert/strict";
import { test } from "node:test";
import { createLineChanges, findingLines, type ShownFinding } from "./finding-lines.ts";

const cart = { kind: "VirtualService", namespace: "shop", name: "cart" };
const dangling: ShownFinding = {
  severity: "warning",
  message: "VirtualService shop/cart: spec.hosts[0] names nothing",
  object: cart,
  origin: { file: "/mesh/cart.yaml", document: 2 },
};
const rejected: ShownFinding = {
  severity: "error",
  message: "the proxy refused a Listener: bad",
  object: { kind: "Pod", namespace: "shop", name: "cart-1" },
};

test("the gravest come first, each with its object and place", () => {
  assert.deepEqual(findingLines([[dangling], [rejected]], "/state/objects"), [
    "error: Pod shop/cart-1: the proxy refused a Listener: bad",
    "warning: VirtualService shop/cart: spec.hosts[0] names nothing (/mesh/cart.yaml:2)",
  ]);
});

test("what two parts found is one line with the first one's place; another object's is another line", () => {
  const copy = { ...dangling, origin: { file: "/state/objects/cart.json", document: 1 } };
  const other = { ...dangling, object: { ...cart, name: "pay" } };
  assert.equal(findingLines([[dangling], [copy]], "/state/objects").length, 1);
  assert.match(findingLines([[dangling], [copy]], "/state/objects")[0] ?? "", /cart\.yaml:2/);
  assert.match(findingLines([[copy]], "/state/objects")[0] ?? "", /names nothing$/);
  assert.equal(findingLines([[dangling], [other]], "/state/objects").length, 2);
});

test("no part of a finding reaches a terminal with control characters", () => {
  const evil = "\u001b[2J\n\u202e";
  const [line, ...rest] = findingLines(
    [
      [
        {
          severity: "error",
          message: `no ${evil}`,
          object: { kind: evil, namespace: evil, name: evil },
          origin: { file: `/m/${evil}.yaml`, document: 1 },
        },
      ],
    ],
    "/state/objects",
  );
  assert.deepEqual(rest, []);
  assert.doesNotMatch(line ?? "", /[\p{Cc}\p{Cf}]/u);
});

test("a line is told when it appears and when it is gone, once each", () => {
  const look = createLineChanges();
  assert.deepEqual(look(["a", "b"]), { appeared: ["a", "b"], gone: [] });
  assert.deepEqual(look(["b", "c"]), { appeared: ["c"], gone: ["a"] });
  assert.deepEqual(look(["b", "c"]), { appeared: [], gone: [] });
  assert.deepEqual(look([]), { appeared: [], gone: ["b", "c"] });
});
