import assert from "node:assert/strict";
import { test } from "node:test";
import { formatTable } from "./table.ts";

test("a table has as many rows as there are", () => {
  const rows = Array.from({ length: 200_000 }, (_, at) => [`${at}`, "x"]);
  assert.equal(formatTable(rows).trimEnd().split("\n").length, 200_000);
});
