import assert from "node:assert/strict";
import { test } from "node:test";
import { placeholderIdentity } from "../../src/ca/serving/placeholder-identity.ts";
import { callHttp } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { endpoint, pod, service } from "../support/manifests.ts";
import { meshOf } from "../support/mesh.ts";
import { rateLimit } from "../support/rate-limits.ts";
import { startSidecars } from "../support/sidecars.ts";
import { startUpstream } from "../support/upstream.ts";

/** RateLimits that name Services in place of labels, at a real Envoy. */

test("a Service's limits hold at its ports, of its own workloads", { skip: envoyMissing() }, async (t) => {
  const [orders, admin] = await Promise.all(["orders", "admin"].map((name) => startUpstream(t, name, "127.0.0.1")));
  assert.ok(orders && admin);
  const once = { requests: [{ name: "a", scope: "PROXY", rate: { amount: 1, unit: "DAY" } }] };
  const of = (name: string) => ({ ...once, targetRefs: [{ kind: "Service", name }] });
  const web = (name: string, ip: string, namespace = "shop") =>
    pod({ name, namespace, ip, labels: { app: name } }) +
    service({
      name,
      namespace,
      ports: { http: { port: 80, targetPort: orders.port } },
      selector: { app: name },
      clusterIP: "10.96.9.1",
    });
  const yaml = [
    web("api", "127.0.0.2"),
    service({ name: "api-admin", ports: { http: { port: 81, targetPort: admin.port } }, selector: { app: "api" } }),
    web("other", "127.0.0.3"),
    rateLimit("api", of("api")),
    // Found by its address alone.
    pod({ name: "loose", ip: "127.0.0.5", labels: { app: "loose" } }),
    service({ name: "loose", ports: { http: { port: 80, targetPort: orders.port } }, selector: {} }),
    endpoint("loose", { name: "loose", ip: "127.0.0.5" }, { http: orders.port }),
    rateLimit("loose", of("loose")),
    web("far", "127.0.0.4", "data"),
    rateLimit("far", of("far"), "trysail-system"),
  ].join("");
  const mesh = meshOf(yaml);
  const pods = { api: "api.shop", other: "other.shop", loose: "loose.shop", far: "far.data" };
  const { port } = await startSidecars(
    t,
    placeholderIdentity(),
    Object.fromEntries(Object.entries(pods).map(([key, name]) => [key, { mesh, pod: name }])),
  );
  const statuses = async (sidecar: string, destination: number) => {
    const call = { port: port(sidecar, "virtualInbound"), destination };
    const ask = async () => (await callHttp(call, {}))?.status;
    return [await ask(), await ask()];
  };
  assert.deepEqual(await statuses("api", orders.port), [200, 429]);
  assert.deepEqual(await statuses("api", admin.port), [200, 200], "a port that another Service leads to");
  assert.deepEqual(await statuses("other", orders.port), [200, 200], "another Service's workload");
  assert.deepEqual(await statuses("loose", orders.port), [200, 429], "a Service that selects nobody");
  assert.deepEqual(await statuses("far", orders.port), [200, 200], "the root namespace names its own Services alone");
});
