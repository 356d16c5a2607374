import assert from "node:assert/strict";
import { test } from "node:test";
import { Nonces } from "./nonce.ts";

test("a nonce answers the last response once; an older one is stale; none is a request of its own", () => {
  const nonces = new Nonces();
  assert.equal(nonces.classify(""), "unprompted");
  nonces.sent({ nonce: "n1", serial: 1 });
  assert.equal(nonces.awaiting, true);
  assert.equal(nonces.classify("n1"), "answer");
  nonces.answered();
  assert.equal(nonces.awaiting, false);
  assert.equal(nonces.classify("n1"), "repeated");
  nonces.sent({ nonce: "n2", serial: 2 });
  assert.equal(nonces.classify("n1"), "stale");
  assert.equal(nonces.classify("made up"), "stale");
  assert.equal(nonces.classify(""), "unprompted");
});

test("a shared response is used once and never after a later one", () => {
  const nonces = new Nonces();
  const [one, two] = [
    { nonce: "n1", serial: 1 },
    { nonce: "n2", serial: 2 },
  ];
  assert.equal(nonces.isUsed(one), false);
  nonces.sent(two);
  assert.equal(nonces.isUsed(two), true);
  assert.equal(nonces.isUsed(one), true);
});
