import assert from "node:assert/strict";
import { test } from "node:test";
import { TrysailError } from "../platform/errors.ts";
import { loggedCause, Refusal } from "./refusal.ts";

test("of a refusal the log has the words of every cause, and no stack", () => {
  const error = new Refusal("csr-malformed", "the request cannot be read", {
    cause: new Error("tag 0x31 at 4", { cause: new Error("a byte is missing") }),
  });
  assert.deepEqual(loggedCause(error), { cause: "the request cannot be read: tag 0x31 at 4: a byte is missing" });
  assert.deepEqual(loggedCause(new TrysailError("unauthenticated", "no token")), { cause: "no token" });
});

test("a fault of our own has its stack", () => {
  const error = new Error("undefined is not a function");
  assert.deepEqual(loggedCause(error), { err: error });
});
