import assert from "node:assert/strict";
import { createPrivateKey, createPublicKey } from "node:crypto";
import { test } from "node:test";
import { createKeyPool } from "./key-pool.ts";

test("each pair fits, is on P-256, and is given to one taker only, however many come at once", async (t) => {
  const pool = createKeyPool({ size: 3 });
  t.after(() => pool.stop());
  const pairs = await Promise.all(Array.from({ length: 20 }, () => pool.take()));
  const publicKeys = pairs.map(({ publicKey, privateKeyPem }) => {
    const key = createPrivateKey(Buffer.from(privateKeyPem.reveal()));
    assert.equal(key.asymmetricKeyDetails?.namedCurve, "prime256v1");
    const own = createPublicKey(key).export({ type: "spki", format: "der" });
    assert.deepEqual(own, Buffer.from(publicKey));
    return own.toString("hex");
  });
  assert.equal(new Set(publicKeys).size, 20);
});

test("a pair that was taken stays whole when the pool stops, and a stopped pool still answers", async () => {
  const pool = createKeyPool({ size: 2 });
  const { privateKeyPem } = await pool.take();
  pool.stop();
  assert.match(Buffer.from(privateKeyPem.reveal()).toString(), /BEGIN PRIVATE KEY/);
  assert.match(Buffer.from((await pool.take()).privateKeyPem.reveal()).toString(), /BEGIN PRIVATE KEY/);
});
