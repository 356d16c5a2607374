import assert from "node:assert/strict";
import { test } from "node:test";
import { readInterception } from "./interception.ts";

const cases: readonly [
  title: string,
  proxy: Parameters<typeof readInterception>[0],
  transparent: boolean,
  v6: boolean,
][] = [
  ["a proxy that says nothing is redirected to", { ipAddress: "10.0.0.1" }, false, false],
  ["a proxy with an IPv6 address alone", { ipAddress: "fd00::1" }, false, true],
  ["a proxy with two", { ipAddress: "10.0.0.1", metadata: { INSTANCE_IPS: "10.0.0.1,fd00::1" } }, false, true],
  ["TPROXY", { ipAddress: "10.0.0.1", metadata: { INTERCEPTION_MODE: "TPROXY" } }, true, false],
  ["TPROXY with IPv6", { ipAddress: "fd00::1", metadata: { INTERCEPTION_MODE: "TPROXY" } }, true, true],
  [
    "metadata of another shape",
    { ipAddress: "10.0.0.1", metadata: { INSTANCE_IPS: ["::"], INTERCEPTION_MODE: 1 } },
    false,
    false,
  ],
];
for (const [title, proxy, isTransparent, hasIpv6] of cases) {
  test(title, () => {
    assert.deepEqual(readInterception(proxy), { isTransparent, hasIpv6 });
    assert.equal(
      readInterception({ ...proxy }),
      readInterception(proxy),
      "the same object, as it is part of cache keys",
    );
  });
}
