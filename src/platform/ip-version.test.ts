import assert from "node:assert/strict";
import { test } from "node:test";
import { ipVersion } from "./ip-version.ts";

for (const [text, version] of [
  ["10.0.0.1", 4],
  ["::1", 6],
  ["fd00::1", 6],
  ["::ffff:10.0.0.1", 6],
  ["fe80::1%eth0", null],
  ["10", null],
  ["010.0.0.1", null],
  ["0x7f.1", null],
  ["10.0.0.256", null],
  ["10.0.0.1 ", null],
  ["None", null],
  ["", null],
] as const) {
  test(`${JSON.stringify(text)} is ${version === null ? "no address" : `an address of IPv${version}`}`, () => {
    assert.equal(ipVersion(text), version);
  });
}
