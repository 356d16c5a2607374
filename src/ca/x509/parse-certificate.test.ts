import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { openssl } from "../../../test/support/openssl.ts";
import { temporaryPath } from "../../../test/support/state.ts";
import { objectIdentifier } from "../../platform/der.ts";
import { EXTENSION_TYPE } from "./extensions.ts";
import { parseCertificate } from "./parse-certificate.ts";

const made = [
  { title: "P-256", args: ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "30"] },
  {
    title: "P-384, until behind 2050",
    args: ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-days", "10000"],
  },
  { title: "RSA", args: ["-newkey", "rsa:2048", "-addext", "extendedKeyUsage=serverAuth"] },
  { title: "Ed25519", args: ["-newkey", "ed25519", "-addext", "keyUsage=critical,digitalSignature"] },
];
for (const { title, args } of made) {
  test(`a certificate that openssl made with a key of kind ${title} is read as openssl reads it`, async (t) => {
    const key = await temporaryPath(t, "key.pem");
    const san = "subjectAltName=critical,URI:spiffe://cluster.local/ns/shop/sa/cart";
    const pem = await openssl(
      ...["req", "-x509", "-nodes", ...args, "-keyout", key, "-subj", "/O=Shop/CN=cart", "-addext", san],
    );
    const theirs = new X509Certificate(pem);
    const ours = parseCertificate(theirs.raw);
    assert.equal(ours.notBefore, theirs.validFromDate.getTime());
    assert.equal(ours.notAfter, theirs.validToDate.getTime());
    assert.deepEqual(ours.publicKey.raw, theirs.publicKey.export({ type: "spki", format: "der" }));
    assert.deepEqual(ours.subject.raw, ours.issuer.raw);
    assert.equal(ours.algorithm.keyType, theirs.publicKey.asymmetricKeyType);
    const names = ours.extensions.find(({ type }) => type.is(EXTENSION_TYPE.subjectAlternativeName));
    assert.equal(names?.isCritical, true);
    assert.match(names?.value.content.toString("latin1") ?? "", /spiffe:\/\/cluster\.local\/ns\/shop\/sa\/cart$/);
    const purposes = ours.extensions.find(({ type }) => type.is(EXTENSION_TYPE.extendedKeyUsage));
    assert.equal(purposes?.value.content.includes(objectIdentifier("1.3.6.1.5.5.7.3.1")) ?? false, title === "RSA");
  });
}

test("a certificate cut off anywhere is none, and one with octets changed lives as long here as openssl says, where both read it", async (t) => {
  const key = await temporaryPath(t, "key.pem");
  const pem = await openssl("req", "-x509", "-nodes", "-newkey", "ed25519", "-keyout", key, "-subj", "/CN=cart");
  const whole = new X509Certificate(pem).raw;
  for (let length = 0; length < whole.length; length++) {
    assert.throws(() => parseCertificate(whole.subarray(0, length)), RangeError);
  }
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.uint8Array({ minLength: 1, maxLength: 3 }), (at, bytes) => {
      const changed = Buffer.concat([whole.subarray(0, at), bytes, whole.subarray(at + bytes.length)]);
      const ours = read(() => parseCertificate(changed));
      const theirs = read(() => new X509Certificate(changed));
      if (ours === undefined || theirs === undefined) return;
      assert.deepEqual(
        [ours.notBefore, ours.notAfter],
        [theirs.validFromDate.getTime(), theirs.validToDate.getTime()],
        changed.toString("hex"),
      );
    }),
    { numRuns: 1000 },
  );
});

function read<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch {
    return undefined;
  }
}
