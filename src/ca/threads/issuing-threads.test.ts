import assert from "node:assert/strict";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { type TestContext, test } from "node:test";
import { type TemporaryAuthority, temporaryAuthority } from "../../../test/support/authority.ts";
import { buildCsr, csrPem } from "../../../test/support/csr.ts";
import { createManualClock } from "../../../test/support/manual-clock.ts";
import { threadsNamed } from "../../../test/support/threads.ts";
import { until } from "../../../test/support/until.ts";
import { spiffeId } from "../identity.ts";
import { Refusal } from "../refusal.ts";
import { uriName } from "../x509/extensions.ts";
import { createIssuingThreads, type IssuingThreads } from "./issuing-threads.ts";

const IDLE_MS = 30_000;
const HOUR_MS = 3_600_000;
const NOW = Date.parse("2026-08-01T00:00:00Z");
const identity = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" };
const ID = spiffeId(identity);
const p256 = generateKeyPairSync("ec", { namedCurve: "P-256" });
const csr = buildCsr({ keys: p256, names: [uriName(ID)] });
const job = { csr: csrPem(csr), identity, ttlMs: HOUR_MS, now: NOW, maxTtlMs: 24 * HOUR_MS };

function started(t: TestContext, clock = createManualClock(NOW)): IssuingThreads {
  const threads = createIssuingThreads({ maxThreads: 2, idleMs: IDLE_MS, clock });
  t.after(() => threads.stop());
  return threads;
}

const authorityOf = (t: TestContext): Promise<TemporaryAuthority> => temporaryAuthority(t, createManualClock(NOW));
const threadCount = () => threadsNamed("certificates");

for (const { title, keys } of [
  { title: "P-256", keys: p256 },
  { title: "P-384", keys: generateKeyPairSync("ec", { namedCurve: "P-384" }) },
  { title: "RSA", keys: generateKeyPairSync("rsa", { modulusLength: 2048 }) },
  { title: "Ed25519", keys: generateKeyPairSync("ed25519") },
]) {
  test(`a thread answers a request by a key of kind ${title}, in PEM and in DER, by the time it is told`, async (t) => {
    const [threads, { signer }] = [started(t), await authorityOf(t)];
    const der = buildCsr({ keys, names: [uriName(ID)] });
    for (const request of [csrPem(der), der]) {
      const issued = await threads.run({ ...job, csr: request }, signer.material);
      const leaf = new X509Certificate(issued.chainPem);
      assert.ok(leaf.verify(signer.certificate.publicKey));
      assert.ok(leaf.publicKey.equals(keys.publicKey));
      assert.equal(leaf.subjectAltName, `URI:${ID}`);
      assert.equal(leaf.validToDate.getTime(), NOW + HOUR_MS);
      assert.equal(leaf.serialNumber.toLowerCase(), issued.serialNumber);
    }
  });
}

const offCurve = Buffer.from(csr);
const point = offCurve.indexOf(p256.publicKey.export({ type: "spki", format: "der" }).subarray(-64));
offCurve.fill(1, point, point + 64);
const refused = [
  { title: "that is none", request: "no request", reason: "csr-malformed", cause: /no PEM|not|base64/i },
  { title: "whose key is no point of its curve", request: offCurve, reason: "csr-malformed", cause: /./ },
  {
    title: "that another key has signed",
    request: buildCsr({ keys: { ...p256, privateKey: generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey } }),
    reason: "csr-bad-signature",
  },
  {
    title: "for somebody else",
    request: buildCsr({ keys: p256, names: [uriName("spiffe://cluster.local/ns/shop/sa/boss")] }),
    reason: "csr-other-names",
  },
];
for (const { title, request, reason, cause } of refused) {
  test(`a request ${title} is refused with its reason, and the thread goes on`, async (t) => {
    const [threads, { signer }] = [started(t), await authorityOf(t)];
    await assert.rejects(threads.run({ ...job, csr: request }, signer.material), (error: unknown) => {
      assert.ok(error instanceof Refusal);
      assert.deepEqual([error.reason, error.code], [reason, "invalid-argument"]);
      if (cause !== undefined) assert.match(error.cause instanceof Error ? error.cause.message : "", cause);
      return true;
    });
    await threads.run(job, signer.material);
    assert.equal(threadCount(), 1);
  });
}

test("what a thread signs is verified before it leaves: a key that is not the authority's own gives nobody a certificate", async (t) => {
  const [threads, ours, others] = [started(t), await authorityOf(t), await authorityOf(t)];
  const mixed = { certificate: ours.signer.certificate, key: others.signer.material.key };
  await assert.rejects(threads.run(job, mixed), (error: unknown) => {
    assert.ok(error instanceof Error && "code" in error);
    assert.deepEqual([error.code, error.message], ["internal", "no certificate could be issued"]);
    assert.match(String(error.cause), /signature does not verify/);
    return true;
  });
});

test("each certificate is by the authority that it was asked of, also where that changes in between", async (t) => {
  const [threads, one, two] = [started(t), await authorityOf(t), await authorityOf(t)];
  const asked = Array.from({ length: 20 }, (_, at) => (at % 3 === 0 ? one : two).signer);
  const issued = await Promise.all(asked.map(({ material }) => threads.run(job, material)));
  for (const [at, { chainPem }] of issued.entries()) {
    const leaf = new X509Certificate(chainPem);
    assert.ok(leaf.verify(asked[at]?.certificate.publicKey ?? assert.fail()), `certificate ${at}`);
  }
});

test("many at once get each their own answer, from two threads at most, which do the work in place of this one", async (t) => {
  const [threads, { signer }] = [started(t), await authorityOf(t)];
  const accounts = Array.from({ length: 400 }, (_, at) => `account-${at}`);
  const plain = csrPem(buildCsr({ keys: p256 }));
  const [all, own] = [process.cpuUsage(), process.threadCpuUsage()];
  const answers = accounts.map((serviceAccount) =>
    threads.run({ ...job, csr: plain, identity: { ...identity, serviceAccount } }, signer.material),
  );
  await until("two threads are at work", () => threadCount() === 2);
  const issued = await Promise.all(answers);
  const [spent, here] = [process.cpuUsage(all), process.threadCpuUsage(own)];
  for (const [at, { chainPem }] of issued.entries()) {
    assert.equal(new X509Certificate(chainPem).subjectAltName, `URI:spiffe://cluster.local/ns/shop/sa/account-${at}`);
  }
  assert.ok(here.user + here.system < (spent.user + spent.system) / 2, `${here.user} of ${spent.user} µs`);
});

test("threads that had nothing to do for a while are ended, and others come when they are needed", async (t) => {
  const clock = createManualClock(NOW);
  const [threads, { signer }] = [started(t, clock), await authorityOf(t)];
  await threads.run(job, signer.material);
  clock.advance(IDLE_MS - 1);
  await threads.run(job, signer.material);
  assert.equal(clock.pending(), 1, "the end was put off");
  clock.advance(IDLE_MS - 1);
  assert.equal(threadCount(), 1);
  clock.advance(1);
  // Asked while the old one is ending.
  assert.ok((await threads.run(job, signer.material)).chainPem.length > 0);
  clock.advance(IDLE_MS);
  await until("every thread has ended", () => threadCount() === 0);
});

test("what a thread had not answered when it ended can be asked again", async (t) => {
  const [threads, { signer }] = [started(t), await authorityOf(t)];
  const cutOff = Array.from({ length: 20 }, () => threads.run(job, signer.material));
  const outcomes = Promise.allSettled(cutOff);
  await threads.stop();
  for (const outcome of await outcomes) {
    assert.equal(outcome.status, "rejected");
    assert.equal(outcome.reason.code, "unavailable");
  }
  assert.ok((await threads.run(job, signer.material)).chainPem.length > 0);
});
