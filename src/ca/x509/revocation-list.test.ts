import assert from "node:assert/strict";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { test } from "node:test";
import fc from "fast-check";
import { openssl } from "../../../test/support/openssl.ts";
import { buildRevocationList } from "../../../test/support/revocation-list.ts";
import { temporaryPath } from "../../../test/support/state.ts";
import { systemClock } from "../../platform/clock.ts";
import { objectIdentifier, octetString, sequence, TRUE } from "../../platform/der.ts";
import { systemRandom } from "../../platform/random.ts";
import { createSelfSignedRoot } from "../authority/self-signed-root.ts";
import { certificatePem, signCertificate, subjectNameOf } from "./certificate.ts";
import { basicConstraints, digitalSignatureOnly } from "./extensions.ts";
import { isListOf, maySignLists, parseRevocationLists } from "./revocation-list.ts";

const START = Date.parse("2026-08-01T00:00:00Z");
const DAY_MS = 86_400_000;
const newRoot = () => {
  const root = createSelfSignedRoot({ clock: systemClock, random: systemRandom, trustDomain: "cluster.local" });
  return { certificatePem: root.certificatePem, keyPem: Buffer.from(root.keyPem.reveal()).toString() };
};
const [root, other] = [newRoot(), newRoot()];
const times = { thisUpdate: START, nextUpdate: START + 30 * DAY_MS };
const certificate = new X509Certificate(root.certificatePem);
const DELTA = sequence(objectIdentifier("2.5.29.27"), TRUE, octetString(Buffer.from([2, 1, 1])));
const ANY_CRITICAL = sequence(objectIdentifier("1.2.3.4"), TRUE, octetString(Buffer.from([5, 0])));
const DISTRIBUTION_POINT = sequence(objectIdentifier("2.5.29.28"), octetString(sequence()));
const HARMLESS = sequence(objectIdentifier("1.2.3.4"), octetString(Buffer.from([5, 0])));

test("a list is read as openssl reads it", async (t) => {
  const pem = buildRevocationList({ ...root, ...times, serialNumbers: ["0a", "ff01"], extensions: [HARMLESS] });
  const [list, ...more] = parseRevocationLists(`a comment\n${pem}`);
  assert.ok(list !== undefined && more.length === 0);
  assert.deepEqual([list.thisUpdate, list.nextUpdate, list.revoked], [times.thisUpdate, times.nextUpdate, 2]);
  assert.ok(isListOf(list, certificate));

  const [file, ca] = [await temporaryPath(t, "crl.pem"), await temporaryPath(t, "ca.pem")];
  await writeFile(file, pem);
  await writeFile(ca, root.certificatePem);
  const text = await openssl("crl", "-in", file, "-CAfile", ca, "-noout", "-text");
  assert.match(text, /Serial Number: 0A\n[\s\S]*Serial Number: FF01\n/);
  assert.match(text, /Next Update: Aug 31 00:00:00 2026 GMT/);
});

test("lists stand one behind the other, and one may have no end", () => {
  const pem =
    buildRevocationList({ ...root, ...times, nextUpdate: null }) + buildRevocationList({ ...other, ...times });
  const [one, two] = parseRevocationLists(pem);
  assert.ok(one !== undefined && two !== undefined);
  assert.deepEqual([one.nextUpdate, two.nextUpdate], [null, times.nextUpdate]);
  assert.deepEqual([isListOf(one, certificate), isListOf(two, certificate)], [true, false]);
});

test("a list with an authority's name and another's signature is not its list", () => {
  const forged = buildRevocationList({ certificatePem: root.certificatePem, keyPem: other.keyPem, ...times });
  assert.equal(
    parseRevocationLists(forged).some((list) => isListOf(list, certificate)),
    false,
  );
});

test("a part of a list, which only adds to another, is not taken for a list", () => {
  for (const extension of [DELTA, ANY_CRITICAL, DISTRIBUTION_POINT]) {
    const list = buildRevocationList({ ...root, ...times, extensions: [extension] });
    assert.throws(() => parseRevocationLists(list), /critical extension/);
  }
});

test("an authority may sign lists where its key usage says so, or says nothing", () => {
  const key = createPrivateKey(root.keyPem);
  const name = subjectNameOf(certificate);
  const having = (...extensions: Buffer[]) =>
    new X509Certificate(
      certificatePem(
        signCertificate(
          {
            ...{ serialNumber: Buffer.from([1]), issuer: name, subject: name, extensions },
            ...{ notBefore: START, notAfter: START + DAY_MS },
            publicKey: certificate.publicKey.export({ type: "spki", format: "der" }),
          },
          key,
        ),
      ),
    );
  assert.equal(maySignLists(certificate), true);
  assert.equal(maySignLists(having(basicConstraints(true))), true);
  assert.equal(maySignLists(having(basicConstraints(true), digitalSignatureOnly())), false);
});

test("whatever octets come as a list, they are read or refused, and one octet changed is nobody's list", () => {
  const whole = Buffer.from(
    buildRevocationList({ ...root, ...times, serialNumbers: ["0a"] }).replaceAll(/-----[^-]+-----|\n/g, ""),
    "base64",
  );
  const pemOf = (bytes: Uint8Array) =>
    `-----BEGIN X509 CRL-----\n${Buffer.from(bytes).toString("base64")}\n-----END X509 CRL-----\n`;
  const changed = fc.tuple(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 })).map(([at, flip]) => {
    const bytes = Buffer.from(whole);
    bytes[at] = (bytes[at] ?? 0) ^ flip;
    return bytes;
  });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 100 }), changed, changed), (bytes) => {
      try {
        assert.equal(
          parseRevocationLists(pemOf(bytes)).some((list) => isListOf(list, certificate)),
          false,
        );
      } catch (error) {
        assert.ok(error instanceof RangeError, String(error));
      }
    }),
    { numRuns: 2000, interruptAfterTimeLimit: 10_000 },
  );
  for (let length = 0; length < whole.length; length++) {
    assert.throws(() => parseRevocationLists(pemOf(whole.subarray(0, length))), RangeError);
  }
});
