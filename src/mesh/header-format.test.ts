import assert from "node:assert/strict";
import { test } from "node:test";
import { headerFormatProblem } from "./header-format.ts";

for (const value of ["", "plain", "100%%", "%%REQ(x)", "%PROTOCOL%", "%REQ(x-a)%, %RESP(x-b)%", "a%%%HOSTNAME%b"]) {
  test(`${JSON.stringify(value)} is a format`, () => assert.equal(headerFormatProblem(value), null));
}

for (const value of [
  "100%",
  "%",
  "%%%",
  "%FOO%",
  "%FOO(x)%",
  "%REQ%",
  "%REQ()%",
  "%PROTOCOL(x)%",
  "%protocol%",
  "%REQ(x",
]) {
  test(`${JSON.stringify(value)} is no format`, () => assert.match(headerFormatProblem(value) ?? "", /write %%/));
}
