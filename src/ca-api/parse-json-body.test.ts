import assert from "node:assert/strict";
import { test } from "node:test";
import { Compile } from "typebox/compile";
import { withinCpuMs } from "../../test/support/cpu-time.ts";
import { JwtSvidBody } from "./api-schemas.ts";
import { parseJsonBody } from "./parse-json-body.ts";

const jwtSvid = Compile(JwtSvidBody);

test("brackets, braces and commas in a text are letters like any other", () => {
  const audience = Array.from({ length: 16 }, (_, index) => `https://[::${index}]/{a,b,\\"c,d\\\\}`);
  assert.deepEqual(parseJsonBody(jwtSvid, Buffer.from(JSON.stringify({ audience }))), { audience });
});

/** As much as the API reads. */
const ROOM = 24 * 1024;
const fill = (part: (index: number) => string) => Array.from({ length: ROOM / 8 }, (_, index) => part(index)).join();
const hostile: [title: string, body: string, message: RegExp][] = [
  ["thousands of fields", `{${fill((index) => `"${index.toString(36)}":1`)}}`, /too many values/],
  ["thousands of audiences", `{"audience":[${fill(() => "1")}]}`, /too many values/],
  ["lists in lists", "[".repeat(ROOM), /too many values/],
  ["a text without an end", `{"audience":["${'\\"'.repeat(ROOM / 2)}`, /not JSON/],
  ["backslashes alone", "\\".repeat(ROOM), /not JSON/],
  ["seventeen audiences", JSON.stringify({ audience: Array(17).fill("a") }), /must not have more than 16 items/],
];
for (const [title, body, message] of hostile) {
  test(`${title}: refused, and at once, since anybody may send it`, () => {
    const octets = Buffer.from(body);
    // Some hundredths of it, whoever counts what is covered.
    withinCpuMs(100, () => {
      assert.throws(() => parseJsonBody(jwtSvid, octets), { reason: "bad-request", message });
    });
  });
}
