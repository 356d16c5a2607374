import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { TYPE_URL } from "../../src/xds/resource-set.ts";
import { type TestControlPlane, testControlPlane } from "../support/control-plane.ts";
import { until } from "../support/until.ts";
import { AdsClient, NODE, sendDelta } from "../support/xds-client.ts";
import { create } from "./create.ts";
import { everyIstioKind, installIstioKinds } from "./istio-crds.ts";
import { findKubernetes } from "./programs.ts";
import { startKubernetes, type TestKubernetes } from "./start-kubernetes.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : false;
const SHOP = "/api/v1/namespaces/shop";
const NETWORKING = "/apis/networking.istio.io/v1/namespaces/shop";
const COMPARED = ["cluster", "endpoint", "listener", "route"] as const;

test("two replicas with different pasts send the same bytes", { skip, timeout: 180_000 }, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, { ...found.programs, controllerManager: null });
  await installIstioKinds(kubernetes, everyIstioKind);
  for (const name of ["trysail-system", "shop"]) await create(kubernetes, "/api/v1/namespaces", { metadata: { name } });
  const overrides = {
    source: { kind: "kubeconfig", path: kubernetes.kubeconfig },
    plaintext: { host: "127.0.0.1", port: 0 },
  } as const;

  // The older one sees everything come, change and go; the other only what was left.
  const older = await testControlPlane(t, {}, overrides);
  for (const name of ["one", "two", "three", "gone"]) await addService(kubernetes, name);
  await create(kubernetes, `${NETWORKING}/virtualservices`, routes("b", ["one", "two"]));
  await create(kubernetes, `${NETWORKING}/virtualservices`, routes("a", ["one", "three"]));
  await create(kubernetes, `${NETWORKING}/destinationrules`, {
    apiVersion: "networking.istio.io/v1",
    kind: "DestinationRule",
    metadata: { name: "one" },
    spec: { host: "one", subsets: [{ name: "v1", labels: { version: "v1" } }] },
  });
  await until("the older one to know the last service", async () => (await sent(t, older)).includes("gone.shop"));
  await kubernetes.call("DELETE", `${SHOP}/services/gone`);
  await kubernetes.call("PATCH", `${SHOP}/services/two`, { metadata: { labels: { touched: "yes" } } }, MERGE);
  const younger = await testControlPlane(t, {}, overrides);

  const expected = await sent(t, younger);
  assert.match(expected, /outbound\|80\|v1\|one\.shop\.svc\.cluster\.local/, "what is compared has the mesh in it");
  assert.ok(!expected.includes("gone.shop"));
  await until("the older one to send the same", async () => (await sent(t, older)) === expected);
});

const MERGE = "application/merge-patch+json";

function routes(name: string, hosts: readonly string[]): object {
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: { name },
    spec: { hosts, http: [{ name, route: [{ destination: { host: hosts[0] } }] }] },
  };
}

async function addService(kubernetes: TestKubernetes, name: string): Promise<void> {
  await create(kubernetes, `${SHOP}/services`, {
    metadata: { name },
    spec: { ports: [{ name: "http", port: 80 }], clusterIP: "None" },
  });
  await create(kubernetes, "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices", {
    metadata: { name: `${name}-1`, labels: { "kubernetes.io/service-name": name } },
    addressType: "IPv4",
    ports: [{ name: "http", port: 8080 }],
    endpoints: [{ addresses: ["10.9.0.1"] }, { addresses: ["10.9.0.2"] }],
  });
}

/** Everything but secrets that a new proxy is sent, as text. */
async function sent(t: TestContext, { ports }: TestControlPlane): Promise<string> {
  const client = new AdsClient(t, { port: ports.plaintext ?? 0 });
  const stream = client.delta();
  const texts: string[] = [];
  for (const type of COMPARED) {
    sendDelta(stream, { node: NODE, typeUrl: TYPE_URL[type], resourceNamesSubscribe: ["*"] });
    const { resources } = await until(`${type}s`, () =>
      stream.responses.find(({ typeUrl }) => typeUrl === TYPE_URL[type]),
    );
    texts.push(`${type}\n${resources.join("\n")}`);
  }
  client.close();
  return texts.join("\n\n");
}
