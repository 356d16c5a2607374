import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { request } from "node:https";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { type TestControlPlane, testControlPlane } from "../support/control-plane.ts";
import { until } from "../support/until.ts";

const SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: cart, namespace: shop}\nspec: {ports: [{port: 80}]}\n";

test("the control plane validates over TLS, by the mesh as it is now", async (t) => {
  const mesh = await testControlPlane(t, {});
  const spec = { hosts: ["cart"], http: [{ route: [{ destination: { host: "cart" } }] }] };
  const before = await validate(mesh, spec);
  assert.equal(before.allowed, true);
  assert.match(
    before.warnings?.[0] ?? "",
    /names cart \(cart\.shop\.svc\.cluster\.local\), but there is no such Service/,
  );
  await writeFile(join(mesh.dir, "cart.yaml"), SERVICE);
  await until("no warnings", async () => (await validate(mesh, spec)).warnings === undefined);
  const refused = await validate(mesh, { ...spec, hosts: ["cart", "cart"] });
  assert.equal(refused.allowed, false);
  assert.equal(refused.status?.details?.causes[0]?.field, "spec.hosts[1]");
  const metrics = await (await fetch(`http://127.0.0.1:${mesh.ports.monitoring}/metrics`)).text();
  assert.match(metrics, /trysail_validation_reviews_total\{kind="VirtualService",outcome="denied"\} 1/);
});

test("pods without the sidecar that they should have are shown to their namespace, and counted", async (t) => {
  const namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {istio-injection: enabled}}\n";
  const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: old, namespace: shop}\nspec: {containers: [{name: app}]}\n";
  const mesh = await testControlPlane(t, { "a.yaml": `${namespace}---\n${pod}` });
  const seenBy = async (viewer: string) => {
    const token = await mesh.issuer.issue({ namespace: viewer, serviceAccount: "default", ttlMs: 3_600_000 });
    const headers = { authorization: `Bearer ${token}` };
    return (await fetch(`http://127.0.0.1:${mesh.ports.http}/debug/unmeshed`, { headers })).json();
  };
  const old = { namespace: "shop", pod: "old", createdAt: null };
  assert.deepEqual([await seenBy("trysail-system"), await seenBy("shop"), await seenBy("bank")], [[old], [old], []]);
  const metrics = await (await fetch(`http://127.0.0.1:${mesh.ports.monitoring}/metrics`)).text();
  assert.match(metrics, /trysail_unmeshed_pods\{namespace="shop"\} 1/);
});

interface Answer {
  readonly allowed: boolean;
  readonly warnings?: readonly string[];
  readonly status?: { readonly details?: { readonly causes: readonly { readonly field: string }[] } };
}

async function validate(mesh: TestControlPlane, spec: object): Promise<Answer> {
  const kind = { group: "networking.istio.io", version: "v1", kind: "VirtualService" };
  const metadata = { name: "cart", namespace: "shop" };
  const object = { apiVersion: "networking.istio.io/v1", kind: kind.kind, metadata, spec };
  const asked = { uid: "1", kind, operation: "CREATE", namespace: "shop", name: "cart", object };
  const body = JSON.stringify({ apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", request: asked });
  const options = {
    port: mesh.ports.https,
    host: "localhost",
    path: "/validate",
    method: "POST",
    ca: readFileSync(mesh.rootPath),
  };
  return new Promise((resolve, reject) => {
    const outgoing = request({ ...options, headers: { "content-type": "application/json" } }, (incoming) => {
      text(incoming).then((answer) => resolve(JSON.parse(answer).response), reject);
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}
