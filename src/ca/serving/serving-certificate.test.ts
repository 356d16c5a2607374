import assert from "node:assert/strict";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { test } from "node:test";
import { inspect } from "node:util";
import { issueBy, temporaryAuthority } from "../../../test/support/authority.ts";
import { createManualClock } from "../../../test/support/manual-clock.ts";
import { openssl, opensslText } from "../../../test/support/openssl.ts";
import { temporaryPath } from "../../../test/support/state.ts";
import { createLog } from "../../platform/log.ts";
import { createServingCertificate, type KeyAndCertificate, type ServingCertificate } from "./serving-certificate.ts";

const START = Date.parse("2026-08-01T00:00:00Z");
const HOUR_MS = 60 * 60 * 1000;
const hosts = ["trysail.trysail-system.svc", "localhost", "127.0.0.1", "::1"];
const log = createLog("silent");

function nextRenewal(serving: ServingCertificate): Promise<KeyAndCertificate> {
  return new Promise((resolve) => {
    const stop = serving.onRenew((renewed) => {
      stop();
      resolve(renewed);
    });
  });
}

test("openssl accepts it for every name asked for, and for no other", async (t) => {
  const clock = createManualClock(START);
  const { signer, rootCertificatePem } = await temporaryAuthority(t, clock);
  const serving = createServingCertificate({ issue: issueBy(signer, clock), clock, log, hosts });
  t.after(() => serving.stop());
  await serving.start();
  const { chainPem, keyPem } = serving.current();
  const [root, leaf] = [await temporaryPath(t, "root.pem"), await temporaryPath(t, "leaf.pem")];
  await writeFile(root, rootCertificatePem);
  await writeFile(leaf, chainPem);
  const verify = (...name: string[]): Promise<string> =>
    openssl(
      "verify",
      "-x509_strict",
      "-attime",
      String(START / 1000),
      "-purpose",
      "sslserver",
      ...name,
      "-CAfile",
      root,
      leaf,
    );
  await verify("-verify_hostname", "trysail.trysail-system.svc");
  await verify("-verify_hostname", "localhost");
  await verify("-verify_ip", "127.0.0.1");
  await verify("-verify_ip", "::1");
  await assert.rejects(verify("-verify_hostname", "example.org"), /hostname mismatch/i);
  await assert.rejects(verify("-verify_ip", "127.0.0.2"), /IP address mismatch/i);
  const text = await opensslText(leaf);
  assert.equal(
    text[text.indexOf("X509v3 Subject Alternative Name: critical") + 1],
    "DNS:trysail.trysail-system.svc, DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1",
  );
  assert.ok(new X509Certificate(chainPem).checkPrivateKey(createPrivateKey(Buffer.from(keyPem.reveal()))));
  assert.ok(!inspect(serving.current(), { depth: 9 }).includes("PRIVATE"), "the key cannot be printed");
});

test("it is renewed with a new key at half its life, and listeners are told", async (t) => {
  const clock = createManualClock(START);
  const { signer } = await temporaryAuthority(t, clock);
  const random = { bytes: (length: number) => Buffer.alloc(length, 7), fraction: () => 0 };
  const serving = createServingCertificate({
    issue: issueBy(signer, clock),
    clock,
    log,
    hosts,
    ttlMs: 24 * HOUR_MS,
    random,
  });
  t.after(() => serving.stop());
  await serving.start();
  const first = serving.current();
  const renewal = nextRenewal(serving);
  clock.advance(12 * HOUR_MS - 1);
  assert.equal(serving.current(), first);
  clock.advance(1);
  const second = await renewal;
  assert.equal(serving.current(), second);
  assert.equal(second.notAfter, START + 36 * HOUR_MS);
  assert.notDeepEqual(second.keyPem.reveal(), first.keyPem.reveal());
});

test("a failed renewal keeps the old one and tries again", async (t) => {
  const clock = createManualClock(START);
  const { signer } = await temporaryAuthority(t, clock);
  let failures = 2;
  let failed = (): void => {};
  const flaky = {
    ...signer,
    signServing: (leaf: Parameters<typeof signer.signServing>[0]) => {
      if (clock.now() === START || failures-- <= 0) return signer.signServing(leaf);
      setImmediate(failed);
      return Promise.reject(new Error("the signer is away"));
    },
  };
  const random = { bytes: (length: number) => Buffer.alloc(length, 7), fraction: () => 0 };
  const serving = createServingCertificate({
    issue: issueBy(flaky, clock),
    clock,
    log,
    hosts,
    ttlMs: 24 * HOUR_MS,
    random,
  });
  t.after(() => serving.stop());
  await serving.start();
  const first = serving.current();
  for (const pauseMs of [12 * HOUR_MS, 1000]) {
    const failure = new Promise<void>((resolve) => {
      failed = resolve;
    });
    clock.advance(pauseMs);
    await failure;
    assert.equal(serving.current(), first);
  }
  const renewal = nextRenewal(serving);
  clock.advance(2000);
  await renewal;
  assert.notEqual(serving.current(), first);
});

test("a start that cannot issue rejects with the reason, and tries no more", async (t) => {
  const clock = createManualClock(START);
  const { signer } = await temporaryAuthority(t, clock);
  const broken = { ...signer, signServing: () => Promise.reject(new Error("the signer is away")) };
  const serving = createServingCertificate({ issue: issueBy(broken, clock), clock, log, hosts });
  await assert.rejects(serving.start(), /the signer is away/);
  assert.throws(() => serving.current(), { code: "internal" });
  assert.equal(clock.pending(), 0);
});

for (const wrong of [[], ["localhost", "a b"], ["*.example.org"], ["UPPER"], ["http://localhost"], [""]]) {
  test(`a start with the names ${JSON.stringify(wrong)} is refused`, async (t) => {
    const clock = createManualClock(START);
    const { signer } = await temporaryAuthority(t, clock);
    const serving = createServingCertificate({ issue: issueBy(signer, clock), clock, log, hosts: wrong });
    await assert.rejects(serving.start(), { code: "invalid-argument" });
  });
}
