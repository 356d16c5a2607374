import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { ClusterSchema } from "../../src/gen/envoy/config/cluster/v3/cluster_pb.ts";
import { type TestControlPlane, testControlPlane } from "../support/control-plane.ts";
import { DeltaFollowingProxy } from "../support/following-proxy.ts";
import { until } from "../support/until.ts";
import { NODE } from "../support/xds-client.ts";
import { create } from "./create.ts";
import { findKubernetes } from "./programs.ts";
import { startKubernetes } from "./start-kubernetes.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : false;
const MAPS = "/api/v1/namespaces/trysail-system/configmaps";
const PATIENT = { timeoutMs: 60_000, everyMs: 100 };

test("the mesh config on a real API server, as proxies are served it", { skip, timeout: 600_000 }, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, { ...found.programs, controllerManager: null });
  for (const name of ["trysail-system", "shop"]) await create(kubernetes, "/api/v1/namespaces", { metadata: { name } });
  const put = (mesh: string) =>
    create(kubernetes, MAPS, { metadata: { name: "istio" }, data: { mesh: `connectTimeout: ${mesh}` } });
  const edit = async (data: object | null) => {
    const type = "application/merge-patch+json";
    assert.equal((await kubernetes.call("PATCH", `${MAPS}/istio`, { data }, type)).status, 200);
  };
  await put("3s");
  const plane = await testControlPlane(
    t,
    {},
    {
      source: { kind: "kubeconfig", path: kubernetes.kubeconfig },
      plaintext: { host: "127.0.0.1", port: 0 },
    },
  );
  const proxy = follow(t, plane);
  /** Of a Service that is made now, so that the proxy is served what holds at this moment. */
  const isServed = async (service: string, timeout: string) => {
    await create(kubernetes, "/api/v1/namespaces/shop/services", {
      metadata: { name: service },
      spec: { ports: [{ name: "http", port: 80 }] },
    });
    await until(`${service} with ${timeout}`, () => timeoutOf(proxy, service) === timeout, PATIENT);
  };
  const isTold = (what: RegExp) =>
    until(
      `an Event ${what}`,
      async () => {
        const { body } = await kubernetes.call("GET", "/apis/events.k8s.io/v1/events");
        const events: readonly EventShape[] = body.items;
        return events.some(
          ({ reason, note, regarding }) =>
            reason === "ConfigurationUnusable" && what.test(note) && regarding.name === "istio",
        );
      },
      PATIENT,
    );
  await isServed("as-written", "3s");

  await t.test("holds on while it is no YAML, and while one of its fields is nonsense", async () => {
    await edit({ mesh: "connectTimeout: [" });
    await isTold(/is not YAML/);
    await isServed("no-yaml", "3s");
    await edit({ mesh: "connectTimeout: soon" });
    await isTold(/data\.mesh\.connectTimeout must be a duration/);
    await isServed("no-duration", "3s");
  });

  await t.test("is taken up again once it is mended", async () => {
    await edit({ mesh: "connectTimeout: 4s" });
    await until("the mended one", () => timeoutOf(proxy, "as-written") === "4s", PATIENT);
  });

  await t.test("holds on where its ConfigMap is emptied, for proxies that come then too", async (t) => {
    await edit(null);
    await isTold(/is gone from here/);
    await isServed("emptied", "4s");
    const late = follow(t, plane);
    await until("a proxy that came later", () => timeoutOf(late, "emptied") === "4s", PATIENT);
  });

  await t.test("is what is shipped where its ConfigMap is deleted", async () => {
    assert.equal((await kubernetes.call("DELETE", `${MAPS}/istio`)).status, 200);
    await isServed("deleted", "10s");
  });

  await t.test("is taken up again once the ConfigMap is back", async () => {
    await put("5s");
    await until("the new one", () => timeoutOf(proxy, "deleted") === "5s", PATIENT);
  });

  await t.test("is what the cluster holds while the API server is away, and behind that", async () => {
    await kubernetes.stopApiServer();
    const late = follow(t, plane);
    await until("a proxy that came meanwhile", () => timeoutOf(late, "deleted") === "5s", PATIENT);
    await kubernetes.startApiServer();
    await edit({ mesh: "connectTimeout: 6s" });
    await until("what was edited", () => timeoutOf(proxy, "deleted") === "6s", PATIENT);
  });
});

interface EventShape {
  readonly reason: string;
  readonly note: string;
  readonly regarding: { readonly name: string };
}

function follow(t: TestContext, { ports }: TestControlPlane): DeltaFollowingProxy {
  const proxy = new DeltaFollowingProxy(ports.plaintext ?? 0, NODE);
  t.after(() => proxy.close());
  return proxy;
}

/** How long its proxy waits for a connection to a Service of `shop`; undefined where it knows none. */
function timeoutOf(proxy: DeltaFollowingProxy, service: string): string | undefined {
  const bytes = proxy.state().cluster[`outbound|80||${service}.shop.svc.cluster.local`];
  if (bytes === undefined) return undefined;
  return `${fromBinary(ClusterSchema, Buffer.from(bytes, "base64")).connectTimeout?.seconds}s`;
}
