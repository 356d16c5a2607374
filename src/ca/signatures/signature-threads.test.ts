import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { type TestContext, test } from "node:test";
import { createManualClock } from "../../../test/support/manual-clock.ts";
import { threadsNamed } from "../../../test/support/threads.ts";
import { until } from "../../../test/support/until.ts";
import { createSignatureThreads, type SignatureThreads } from "./signature-threads.ts";
import { type Hash, localSignatures } from "./signatures.ts";

const IDLE_MS = 30_000;
const bytes = Buffer.from("what is signed");
const p256 = generateKeyPairSync("ec", { namedCurve: "P-256" });
const kinds = [
  { title: "P-256", keys: p256, hash: "sha256" },
  { title: "P-384", keys: generateKeyPairSync("ec", { namedCurve: "P-384" }), hash: "sha384" },
  { title: "RSA", keys: generateKeyPairSync("rsa", { modulusLength: 2048 }), hash: "sha256" },
  { title: "Ed25519", keys: generateKeyPairSync("ed25519"), hash: null },
] satisfies { title: string; keys: unknown; hash: Hash }[];

function started(t: TestContext, clock = createManualClock(0)): SignatureThreads {
  const signatures = createSignatureThreads({ maxThreads: 2, idleMs: IDLE_MS, clock });
  t.after(() => signatures.stop());
  return signatures;
}

const threadCount = () => threadsNamed("signatures");

for (const { title, keys, hash } of kinds) {
  test(`what a thread signs by a key of kind ${title} verifies, on the thread and elsewhere, and for these bytes alone`, async (t) => {
    const signatures = started(t);
    const signature = await signatures.sign(hash, bytes, keys.privateKey);
    const pem = keys.publicKey.export({ type: "spki", format: "pem" }).toString();
    for (const key of [keys.publicKey, pem]) {
      assert.equal(await localSignatures.verify(hash, bytes, key, signature), true);
      assert.equal(await signatures.verify(hash, bytes, key, signature), true);
      assert.equal(await signatures.verify(hash, Buffer.from("something else"), key, signature), false);
    }
  });
}

test("a key that is none is told of, and the thread goes on", async (t) => {
  const signatures = started(t);
  const pem = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
  await assert.rejects(signatures.verify("sha256", bytes, pem, Buffer.alloc(70)));
  const signature = await signatures.sign("sha256", bytes, p256.privateKey);
  assert.equal(await signatures.verify("sha256", bytes, p256.publicKey, signature), true);
  assert.equal(threadCount(), 1);
});

test("many at once get each their own answer, from two threads at most, which do the work in place of this one", async (t) => {
  const signatures = started(t);
  const texts = Array.from({ length: 500 }, (_, at) => Buffer.from(`text ${at}`));
  const [all, own] = [process.cpuUsage(), process.threadCpuUsage()];
  const made = texts.map((text) => signatures.sign("sha256", text, p256.privateKey));
  await until("two threads are at work", () => threadCount() === 2);
  const verdicts = await Promise.all(
    texts.map(async (text, at) => {
      const signature = await (made[at] ?? assert.fail());
      return signatures.verify("sha256", text, p256.publicKey, signature);
    }),
  );
  const [spent, here] = [process.cpuUsage(all), process.threadCpuUsage(own)];
  assert.deepEqual(new Set(verdicts), new Set([true]));
  assert.ok(here.user + here.system < (spent.user + spent.system) / 2, `${here.user} of ${spent.user} µs`);
});

test("threads that had nothing to do for a while are ended, and others come when they are needed", async (t) => {
  const clock = createManualClock(0);
  const signatures = started(t, clock);
  await signatures.sign("sha256", bytes, p256.privateKey);
  clock.advance(IDLE_MS - 1);
  await signatures.sign("sha256", bytes, p256.privateKey);
  assert.equal(clock.pending(), 1, "the end was put off");
  clock.advance(IDLE_MS - 1);
  assert.equal(threadCount(), 1);
  clock.advance(1);
  // Asked while the old one is ending.
  assert.ok((await signatures.sign("sha256", bytes, p256.privateKey)).length > 0);
  clock.advance(IDLE_MS);
  await until("every thread has ended", () => threadCount() === 0);
});

test("what a thread had not answered when it ended can be asked again", async (t) => {
  const signatures = started(t);
  const cutOff = Array.from({ length: 20 }, () => signatures.sign("sha256", bytes, p256.privateKey));
  const outcomes = Promise.allSettled(cutOff);
  await signatures.stop();
  for (const outcome of await outcomes) {
    assert.equal(outcome.status, "rejected");
    assert.equal(outcome.reason.code, "unavailable");
  }
  assert.ok((await signatures.sign("sha256", bytes, p256.privateKey)).length > 0);
});
