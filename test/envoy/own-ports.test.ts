import assert from "node:assert/strict";
import { test } from "node:test";
import { TYPE_URL } from "../../src/xds/resource-set.ts";
import { configWith, isObject, objects } from "../support/accepted.ts";
import { envoyMissing, validateConfig } from "../support/envoy.ts";
import { istio, pod, service } from "../support/manifests.ts";
import { meshOf, resourcesFor } from "../support/mesh.ts";

/** Envoy refuses a listener at an address that another has: so one of a Sidecar must not have the place of the proxy's own. */

const PORTS = [15000, 15001, 15006, 15020, 15021, 15053, 15090];
const web = pod({ name: "web", ip: "10.1.0.1", labels: { app: "web" } });
const ports = Object.fromEntries(PORTS.map((port) => [`http-${port}`, port]));
const egress = (fields: object) =>
  PORTS.map((number) => ({ port: { number, protocol: "HTTP", name: "http" }, hosts: ["*/*"], ...fields }));
const NONE = { captureMode: "NONE" };

for (const [where, fields] of Object.entries({
  nowhere: {},
  loopback: NONE,
  everywhere: { ...NONE, bind: "0.0.0.0" },
})) {
  test(`Envoy takes what is made of a Sidecar that listens on the proxy's own ports: bound ${where}`, {
    skip: envoyMissing(),
  }, async () => {
    const mesh = meshOf(web + service({ name: "web", ports }) + istio("Sidecar", "own", { egress: egress(fields) }));
    const config = configWith(resourcesFor(mesh, "web.shop", { DNS_CAPTURE: "true" }), "web.shop");
    assert.equal(await validateConfig(withOwn(config)), null);
  });
}

test("without DNS to answer, loopback's port for it is the Sidecar's", () => {
  const mesh = meshOf(web + service({ name: "web", ports }) + istio("Sidecar", "own", { egress: egress(NONE) }));
  const listeners = (metadata: { DNS_CAPTURE?: string }) =>
    [...(resourcesFor(mesh, "web.shop", metadata).get(TYPE_URL.listener)?.byName.keys() ?? [])].filter((name) =>
      name.startsWith("127.0.0.1_"),
    );
  assert.deepEqual([listeners({}), listeners({ DNS_CAPTURE: "true" })], [["127.0.0.1_15053"], []]);
});

/** As the proxy has it, beside listeners where its bootstrap has some. */
function withOwn(config: ReturnType<typeof configWith>) {
  const { staticResources = {} } = config;
  assert.ok(isObject(staticResources));
  const listeners = objects(staticResources.listeners);
  const { filterChains } = listeners.find(({ name }) => name === "virtualOutbound") ?? {};
  assert.ok(filterChains !== undefined);
  const own = [15020, 15021, 15090].map((portValue) => {
    const address = { socketAddress: { address: "0.0.0.0", portValue } };
    return { name: `own-${portValue}`, address, filterChains };
  });
  return { ...config, staticResources: { ...staticResources, listeners: [...own, ...listeners] } };
}
