import assert from "node:assert/strict";
import { test } from "node:test";
import { appProbeRoutes } from "./app-probes.ts";

const paths: readonly [written: string | undefined, asked: string][] = [
  [undefined, "/"],
  ["", "/"],
  ["healthz", "/healthz"],
  ["/healthz?deep=1&a=%20", "/healthz?deep=1&a=%20"],
  ["/a#b?c#d", "/a"],
  ["/a b\r\nHost: c", "/a%20b%0D%0AHost:%20c"],
  ["/ü\u0000😀", "/%C3%BC%00%F0%9F%98%80"],
  ["/\ud800", "/%EF%BF%BD"],
];
for (const [path, asked] of paths) {
  test(`the app is asked for ${asked} where its probe says ${JSON.stringify(path)}`, () => {
    const httpGet = { port: 80, ...(path === undefined ? {} : { path }) };
    const [route] = appProbeRoutes({ "/app-health/app/livez": { httpGet } }, { address: "10.0.0.1" });
    assert.equal(route?.route?.prefixRewrite, asked);
  });
}
