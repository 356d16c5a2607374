import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { pemBlocks, pemBytes, pemText } from "./pem.ts";

for (const length of [0, 1, 2, 3, 47, 48, 49, 95, 96, 97, 138, 1000]) {
  test(`${length} bytes become the lines that base64 makes of them`, () => {
    const der = randomBytes(length);
    const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
    const expected = ["-----BEGIN PRIVATE KEY-----", ...lines, "-----END PRIVATE KEY-----", ""].join("\n");
    assert.equal(pemBytes("PRIVATE KEY", der).toString("latin1"), expected);
  });
}

test("of a text the blocks of one label are read in their order, and what stands between them is skipped", () => {
  const [one, two] = [pemText("CERTIFICATE", randomBytes(100)).trim(), pemText("CERTIFICATE", randomBytes(5)).trim()];
  const text = `# note\r\n${one}\n${pemText("PRIVATE KEY", randomBytes(9))}${two.replaceAll("\n", "\r\n")}\nend`;
  assert.deepEqual(pemBlocks("CERTIFICATE", text), [one, two.replaceAll("\n", "\r\n")]);
  assert.deepEqual(pemBlocks("X509 CRL", text), []);
});

test("a text cut off anywhere within a block has not the blocks that come before it, but none", () => {
  const [one, two] = [pemText("CERTIFICATE", randomBytes(100)), pemText("CERTIFICATE", randomBytes(100)).trim()];
  const begin = "-----BEGIN CERTIFICATE-----".length;
  for (let length = begin; length < two.length; length++) {
    assert.throws(() => pemBlocks("CERTIFICATE", one + two.slice(0, length)), RangeError);
  }
  assert.throws(() => pemBlocks("CERTIFICATE", two.replace("\n", "\nDEK-Info: x\n") + one), /not whole/);
});
