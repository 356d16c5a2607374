import assert from "node:assert/strict";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { type TestContext, test } from "node:test";
import { inspect } from "node:util";
import { fromBinary } from "@bufbuild/protobuf";
import { temporaryAuthority } from "../../test/support/authority.ts";
import { type CallCounter, createCallCounter } from "../../test/support/events.ts";
import { createManualClock, type ManualClock } from "../../test/support/manual-clock.ts";
import type { WorkloadIdentity } from "../ca/identity.ts";
import { type IssueRequest, issue } from "../ca/issue.ts";
import type { IssuedCertificate } from "../ca/signer.ts";
import { SecretSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { createLog } from "../platform/log.ts";
import { type ResourceSet, TYPE_URL } from "../xds/resource-set.ts";
import { createKeyPool } from "./key-pool.ts";
import { createRenewalTurns } from "./renewal-turns.ts";
import { createWorkloadSecrets, type WorkloadSecrets, type WorkloadSecretsHandle } from "./workload-secrets.ts";

const START = Date.parse("2026-08-01T00:00:00Z");
const HOUR_MS = 60 * 60 * 1000;
const TTL_MS = 24 * HOUR_MS;
const cart: WorkloadIdentity = {
  trustDomain: "cluster.local",
  namespace: "shop",
  serviceAccount: "cart",
  pod: { name: "cart-0", uid: "u0" },
};

const trustIn = (rootsPem: string) => ({ rootsPem, revocationListsPem: "" });

interface Setup {
  readonly clock: ManualClock;
  readonly secrets: WorkloadSecrets;
  readonly trustBundlePem: string;
  readonly issued: IssueRequest[];
  readonly outcomes: CallCounter;
  readonly counts: { issued: number; failed: number };
  /** What the next issuances do instead of issuing; an empty list issues. */
  readonly failures: Error[];
}

async function setUp(t: TestContext, fraction = 0): Promise<Setup> {
  const clock = createManualClock(START);
  const { signer, trustBundlePem } = await temporaryAuthority(t, clock);
  const issued: IssueRequest[] = [];
  const failures: Error[] = [];
  const outcomes = createCallCounter();
  const counts = { issued: 0, failed: 0 };
  const keys = createKeyPool({ size: 2 });
  t.after(() => keys.stop());
  const secrets = createWorkloadSecrets({
    async issue(request): Promise<IssuedCertificate> {
      const failure = failures.shift();
      if (failure !== undefined) throw failure;
      issued.push(request);
      return issue({ signer, clock, maxTtlMs: TTL_MS }, request);
    },
    trustBundle: trustIn(trustBundlePem),
    keys,
    turns: createRenewalTurns({ atOnce: 4 }),
    clock,
    random: { fraction: () => fraction },
    ttlMs: TTL_MS,
    log: createLog("silent"),
    metrics: {
      issued() {
        counts.issued++;
        outcomes.call();
      },
      issueFailed() {
        counts.failed++;
        outcomes.call();
      },
    },
  });
  return { clock, secrets, trustBundlePem, issued, outcomes, counts, failures };
}

function certificateIn(set: ResourceSet | undefined): { certificate: X509Certificate; keyPem: string } {
  const secret = fromBinary(SecretSchema, set?.byName.get("default")?.bytes ?? new Uint8Array());
  assert.equal(secret.type.case, "tlsCertificate");
  const text = (source: { specifier: { value?: unknown } } | undefined): string =>
    Buffer.from(source?.specifier.value as Uint8Array).toString();
  return {
    certificate: new X509Certificate(text(secret.type.value.certificateChain)),
    keyPem: text(secret.type.value.privateKey),
  };
}

/** Opens the workload's secrets and waits for the first. */
async function opened(setup: Setup, identity = cart): Promise<{ handle: WorkloadSecretsHandle; changes: CallCounter }> {
  const changes = createCallCounter();
  const first = changes.next();
  const handle = setup.secrets.open(identity, changes.call);
  if (handle.current() === undefined) await first;
  return { handle, changes };
}

test("an opened workload gets a certificate for its identity, a key that fits it, and the roots", async (t) => {
  const setup = await setUp(t);
  const changes = createCallCounter();
  const first = changes.next();
  const handle = setup.secrets.open(cart, changes.call);
  assert.equal(handle.current(), undefined, "nothing before the first certificate is issued");
  await first;
  const set = handle.current();
  assert.equal(set?.typeUrl, TYPE_URL.secret);
  assert.deepEqual([...set.byName.keys()], ["ROOTCA", "default"]);
  const { certificate, keyPem } = certificateIn(set);
  assert.equal(certificate.subjectAltName, "URI:spiffe://cluster.local/ns/shop/sa/cart");
  assert.ok(certificate.checkPrivateKey(createPrivateKey(keyPem)));
  const bundle = fromBinary(SecretSchema, set.byName.get("ROOTCA")?.bytes ?? new Uint8Array());
  assert.equal(bundle.type.case, "validationContext");
  assert.deepEqual(bundle.type.value.trustedCa?.specifier.value, new Uint8Array(Buffer.from(setup.trustBundlePem)));
  assert.ok(certificate.verify(new X509Certificate(setup.trustBundlePem).publicKey));
  assert.equal(handle.current(), set, "the same set until it changes");
  handle.close();
});

for (const { fraction, afterHours } of [
  { fraction: 0, afterHours: 12 },
  { fraction: 0.5, afterHours: 15.6 },
]) {
  test(`where chance says ${fraction}, a life of 24 h is renewed after ${afterHours} h, with a new key`, async (t) => {
    const setup = await setUp(t, fraction);
    const { handle, changes } = await opened(setup);
    const first = handle.current();
    const next = changes.next();
    setup.clock.advance(afterHours * HOUR_MS - 1);
    assert.equal(setup.issued.length, 1);
    assert.equal(handle.current(), first);
    setup.clock.advance(1);
    await next;
    const second = handle.current();
    assert.notEqual(second?.version, first?.version);
    assert.equal(second?.byName.get("ROOTCA"), first?.byName.get("ROOTCA"), "the roots are the same object");
    assert.notEqual(certificateIn(second).keyPem, certificateIn(first).keyPem);
    assert.equal(changes.count(), 2);
    handle.close();
  });
}

test("a failed renewal keeps the old certificate and is tried again", async (t) => {
  const setup = await setUp(t);
  const { handle, changes } = await opened(setup);
  const first = handle.current();
  setup.failures.push(new Error("away"), new Error("still away"));
  for (const pauseMs of [12 * HOUR_MS, 1000]) {
    const outcome = setup.outcomes.next();
    setup.clock.advance(pauseMs);
    await outcome;
    assert.equal(handle.current(), first);
  }
  assert.deepEqual(setup.counts, { issued: 1, failed: 2 });
  const next = changes.next();
  setup.clock.advance(2000);
  await next;
  assert.notEqual(handle.current(), first);
  assert.equal(changes.count(), 2, "failures are no change");
  handle.close();
});

test("a first failure leaves the workload without a certificate until a retry gives one", async (t) => {
  const setup = await setUp(t);
  setup.failures.push(new Error("away"));
  const changes = createCallCounter();
  const failed = setup.outcomes.next();
  const handle = setup.secrets.open(cart, changes.call);
  await failed;
  assert.equal(handle.current(), undefined);
  const first = changes.next();
  setup.clock.advance(1000);
  await first;
  assert.notEqual(handle.current(), undefined);
  handle.close();
});

test("streams of one pod share one certificate while any of them is open", async (t) => {
  const setup = await setUp(t);
  const one = await opened(setup);
  const two = await opened(setup, { ...cart });
  assert.equal(two.handle.current(), one.handle.current());
  assert.equal(setup.issued.length, 1);
  one.handle.close();
  one.handle.close();
  const next = two.changes.next();
  setup.clock.advance(12 * HOUR_MS);
  await next;
  assert.equal(setup.issued.length, 2, "the second stream keeps it alive, however often the first is closed");
  assert.equal(one.changes.count(), 1, "a closed stream hears no more");
  two.handle.close();
});

test("two streams that pass the same callback are two", async (t) => {
  const setup = await setUp(t);
  const changes = createCallCounter();
  const first = changes.next();
  const one = setup.secrets.open(cart, changes.call);
  setup.secrets.open(cart, changes.call);
  await first;
  one.close();
  const next = changes.next();
  setup.clock.advance(12 * HOUR_MS);
  await next;
  assert.equal(changes.count(), 3);
});

for (const { title, identity } of [
  { title: "another pod of the same account", identity: { ...cart, pod: { name: "cart-1", uid: "u1" } } },
  { title: "a new pod of the same name", identity: { ...cart, pod: { name: "cart-0", uid: "u9" } } },
  { title: "another account", identity: { ...cart, serviceAccount: "page" } },
]) {
  test(`${title} has a key of its own`, async (t) => {
    const setup = await setUp(t);
    const one = await opened(setup);
    const two = await opened(setup, identity);
    assert.notEqual(certificateIn(two.handle.current()).keyPem, certificateIn(one.handle.current()).keyPem);
  });
}

test("the last close ends the renewal and forgets the certificate", async (t) => {
  const setup = await setUp(t);
  const { handle } = await opened(setup);
  const first = handle.current();
  handle.close();
  assert.equal(setup.clock.pending(), 0);
  const again = await opened(setup);
  assert.notEqual(again.handle.current()?.version, first?.version);
  again.handle.close();
});

test("a workload that closes before its certificate is there hears nothing of it", async (t) => {
  const setup = await setUp(t);
  const changes = createCallCounter();
  setup.secrets.open(cart, changes.call).close();
  await opened(setup, { ...cart, serviceAccount: "page" });
  assert.equal(changes.count(), 0);
  assert.equal(setup.counts.issued, 1, "only the other workload's");
});

test("renewals of workloads that started together spread over three tenths of their life", async (t) => {
  const clock = createManualClock(START);
  const { signer, trustBundlePem } = await temporaryAuthority(t, clock);
  const dueAt: number[] = [];
  let draws = 0;
  const keys = createKeyPool({ size: 2 });
  t.after(() => keys.stop());
  const secrets = createWorkloadSecrets({
    issue: (request) => issue({ signer, clock, maxTtlMs: TTL_MS }, request),
    trustBundle: trustIn(trustBundlePem),
    keys,
    turns: createRenewalTurns({ atOnce: 4 }),
    clock: {
      ...clock,
      after(delayMs, run) {
        dueAt.push(delayMs);
        return clock.after(delayMs, run);
      },
    },
    random: { fraction: () => draws++ / 20 },
    ttlMs: 60_000,
    log: createLog("silent"),
  });
  const all = Array.from({ length: 20 }, (_, index) => {
    const changes = createCallCounter();
    const first = changes.next();
    secrets.open({ ...cart, serviceAccount: `cart-${index}` }, changes.call);
    return first;
  });
  await Promise.all(all);
  assert.equal(new Set(dueAt).size, 20);
  assert.ok(Math.min(...dueAt) >= 30_000 && Math.max(...dueAt) < 48_000, `due after ${dueAt} ms`);
});

test("another trust bundle reaches every open workload at once, and leaves certificates as they are", async (t) => {
  const setup = await setUp(t);
  const [one, two] = [await opened(setup), await opened(setup, { ...cart, serviceAccount: "page" })];
  const before = one.handle.current();
  const versionBefore = setup.secrets.trustBundleVersion();
  setup.secrets.setTrustBundle(trustIn(setup.trustBundlePem));
  assert.equal(one.handle.current(), before, "the same roots are no change");
  const other = await temporaryAuthority(t, setup.clock);
  setup.secrets.setTrustBundle(trustIn(setup.trustBundlePem + other.trustBundlePem));
  for (const { handle, changes } of [one, two]) {
    assert.equal(changes.count(), 2);
    const bundle = handle.current()?.byName.get("ROOTCA");
    assert.equal(bundle?.version, setup.secrets.trustBundleVersion());
    assert.notEqual(bundle?.version, versionBefore);
  }
  assert.equal(one.handle.current()?.byName.get("default"), before?.byName.get("default"));
  assert.equal(setup.issued.length, 2);
});

test("what the mesh knows beside itself reaches every open workload, and goes again with a later trust bundle in between", async (t) => {
  const setup = await setUp(t);
  const { handle, changes } = await opened(setup);
  const validatorOf = () => {
    const { type } = fromBinary(SecretSchema, handle.current()?.byName.get("ROOTCA")?.bytes ?? new Uint8Array());
    assert.equal(type.case, "validationContext");
    return type.value.customValidatorConfig?.name;
  };
  setup.secrets.setFederation(null);
  assert.equal(changes.count(), 1, "nobody beside nobody is no change");
  const federation = { ownDomains: ["cluster.local"], foreign: new Map([["west.example", "their roots"]]) };
  setup.secrets.setFederation(federation);
  setup.secrets.setFederation({ ...federation });
  assert.equal(changes.count(), 2);
  assert.equal(validatorOf(), "envoy.tls.cert_validator.spiffe");
  setup.secrets.setTrustBundle(trustIn("other roots"));
  assert.equal(validatorOf(), "envoy.tls.cert_validator.spiffe");
  setup.secrets.setFederation(null);
  assert.equal(validatorOf(), undefined);
  assert.equal(changes.count(), 4);
});

test("a renewal of all gives each workload a new certificate within the window", async (t) => {
  const setup = await setUp(t, 0.25);
  const { handle, changes } = await opened(setup);
  const first = handle.current();
  setup.secrets.renewAll(HOUR_MS);
  const next = changes.next();
  setup.clock.advance(HOUR_MS / 4 - 1);
  assert.equal(setup.issued.length, 1);
  setup.clock.advance(1);
  await next;
  assert.notEqual(certificateIn(handle.current()).keyPem, certificateIn(first).keyPem);
});

test("printing what a stream holds shows no key", async (t) => {
  const setup = await setUp(t);
  const { handle } = await opened(setup);
  assert.ok(!inspect(handle, { depth: 9 }).includes("PRIVATE"));
  assert.ok(!inspect(setup.secrets, { depth: 9 }).includes("PRIVATE"));
});
