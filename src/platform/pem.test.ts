import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { pemBytes } from "./pem.ts";

for (const length of [0, 1, 2, 3, 47, 48, 49, 95, 96, 97, 138, 1000]) {
  test(`${length} bytes become the lines that base64 makes of them`, () => {
    const der = randomBytes(length);
    const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
    const expected = ["-----BEGIN PRIVATE KEY-----", ...lines, "-----END PRIVATE KEY-----", ""].join("\n");
    assert.equal(pemBytes("PRIVATE KEY", der).toString("latin1"), expected);
  });
}
