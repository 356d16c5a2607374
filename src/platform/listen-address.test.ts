import assert from "node:assert/strict";
import { test } from "node:test";
import { TrysailError } from "./errors.ts";
import { formatListenAddress, parseListenAddress } from "./listen-address.ts";

const good = [
  { text: ":15012", address: { port: 15012 } },
  { text: "127.0.0.1:0", address: { host: "127.0.0.1", port: 0 } },
  { text: "localhost:80", address: { host: "localhost", port: 80 } },
  { text: "[::1]:15012", address: { host: "::1", port: 15012 } },
];
for (const { text, address } of good) {
  test(`${text} is read, and printed as it was`, () => {
    assert.deepEqual(parseListenAddress(text), address);
    assert.equal(formatListenAddress(parseListenAddress(text)), text);
  });
}

for (const text of ["", "15012", "host", "host:", "host:65536", "::1:80", "[host]:80", "host:80x", "a:b:80"]) {
  test(`"${text}" is refused`, () => {
    assert.throws(
      () => parseListenAddress(text),
      (error) =>
        error instanceof TrysailError && error.code === "invalid-argument" && error.message.includes(`"${text}"`),
    );
  });
}
