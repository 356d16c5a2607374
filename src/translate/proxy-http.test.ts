import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import * as fc from "fast-check";
import { endpoint, pod, service } from "../../test/support/manifests.ts";
import { meshOf, proxyOf } from "../../test/support/mesh.ts";
import { BuildCache } from "../platform/build-cache.ts";
import { TYPE_URL } from "../xds/resource-set.ts";
import { readProxyHttp } from "./proxy-http.ts";
import { createTranslator } from "./translator.ts";

const zipkin = { address: "zipkin:9411" };

const unchanged: readonly JsonObject[] = [
  {},
  { PROXY_CONFIG: {} },
  { PROXY_CONFIG: "text" },
  { PROXY_CONFIG: { concurrency: 4 } },
  { PROXY_CONFIG: { tracing: { sampling: 50 } } },
  { PROXY_CONFIG: { tracing: { lightstep: { address: "a:1" } } } },
  { PROXY_CONFIG: { tracing: { zipkin, sampling: "all" } } },
  { PROXY_CONFIG: { proxyHeaders: { requestId: { disabled: false }, server: { value: "a\r\nb: c" } } } },
  { PROXY_CONFIG: { proxyHeaders: { forwardedClientCert: "UNDEFINED" } } },
];
for (const metadata of unchanged) {
  test(`${JSON.stringify(metadata)} changes nothing`, () => assert.equal(readProxyHttp(metadata), null));
}

test("tags that Envoy would refuse are left out, the others come in order", () => {
  const customTags = {
    z: { literal: { value: "1" } },
    a: { header: { name: "x-a" } },
    "": { literal: { value: "1" } },
    empty: { literal: { value: "" } },
    header: { header: { name: "x y" } },
    format: { formatter: { value: "%REQ(" } },
    none: {},
  };
  const { tracing } = JSON.parse(readProxyHttp({ PROXY_CONFIG: { tracing: { zipkin, customTags } } }) ?? "{}");
  assert.deepEqual(tracing.tags, [
    { tag: "a", kind: "header", name: "x-a", defaultValue: "" },
    { tag: "z", kind: "literal", value: "1" },
  ]);
  assert.equal(tracing.samplingPercent, 1);
});

test("whatever a node says is read or ignored, and read the same from any order", () => {
  const headers = fc.dictionary(fc.constantFrom("server", "requestId", "attemptCount", "x"), fc.jsonValue());
  fc.assert(
    fc.property(fc.jsonValue(), headers, (tracing, proxyHeaders) => {
      const config: JsonObject = JSON.parse(JSON.stringify({ tracing, proxyHeaders }));
      const backwards: JsonObject = JSON.parse(
        JSON.stringify({ proxyHeaders: Object.fromEntries(Object.entries(proxyHeaders).reverse()), tracing }),
      );
      assert.equal(readProxyHttp({ PROXY_CONFIG: config }), readProxyHttp({ PROXY_CONFIG: backwards }));
    }),
  );
});

test("proxies that are equal in it share what they are sent, and nothing else differs from the others'", () => {
  const yaml = ["a", "b", "c"].map((name, index) => pod({ name, ip: `10.0.0.${index + 1}` })).join("");
  const web = service({ name: "web", ports: { http: 80, tcp: 90 }, clusterIP: "10.96.0.1" });
  const mesh = meshOf(yaml + web + endpoint("web", { name: "a", ip: "10.0.0.1" }, { http: 80, tcp: 90 }));
  const translator = createTranslator(mesh, new BuildCache({ verify: true }));
  const metadata = () => ({
    PROXY_CONFIG: { tracing: { zipkin }, proxyHeaders: { attemptCount: { disabled: true } } },
  });
  const own = (name: string) => translator.translate({ ...proxyOf(mesh, `${name}.shop`), metadata: metadata() });
  const [a, b, usual] = [own("a"), own("b"), translator.translate(proxyOf(mesh, "c.shop"))];
  for (const type of Object.values(TYPE_URL)) assert.equal(a.get(type), b.get(type), type);
  const differing = Object.values(TYPE_URL).filter((type) => a.get(type) !== usual.get(type));
  assert.deepEqual(differing.sort(), [TYPE_URL.listener, TYPE_URL.route].sort());
});
