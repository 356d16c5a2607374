import assert from "node:assert/strict";
import { test } from "node:test";
import type { CheckLine } from "../../src/operations/check/check.ts";
import { create } from "./create.ts";
import { installIstioKinds } from "./istio-crds.ts";
import { findKubernetes } from "./programs.ts";
import { startKubernetes } from "./start-kubernetes.ts";
import { trysail } from "./trysail.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : false;
const ROUTES = "/apis/networking.istio.io/v1/namespaces/default/virtualservices";

test("`trysail check` names stored objects that fail today's schema", { skip, timeout: 180_000 }, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, { ...found.programs, controllerManager: null });
  const { kubeconfig } = kubernetes;
  // As an older CRD, which lets in what is refused today.
  await installIstioKinds(kubernetes, ["VirtualService", "Sidecar"]);
  const route = (name: string, weight: unknown) =>
    create(kubernetes, ROUTES, {
      apiVersion: "networking.istio.io/v1",
      kind: "VirtualService",
      metadata: { name },
      spec: { hosts: [name], http: [{ route: [{ destination: { host: name }, weight }] }] },
    });
  const said = async () => {
    const { stdout } = await trysail("check", "--pre", "--kubeconfig", kubeconfig, "-o", "json");
    const lines: readonly CheckLine[] = JSON.parse(stdout);
    return lines.filter(({ check }) => check === "configuration").map(({ status, message }) => `${status}: ${message}`);
  };
  await route("good", 100);
  assert.deepEqual(await said(), ["pass: each of 1 objects can be used"]);
  for (let i = 0; i < 12; i++) await route(`bad-${String(i).padStart(2, "0")}`, "much");
  const lines = await said();
  assert.match(lines[0] ?? "", /^warn: VirtualService default\/bad-00: spec\.http\[0\]\.route\[0\]\.weight/);
  assert.equal(lines.length, 11);
  assert.equal(lines.at(-1), "warn: 2 more objects cannot be used");
});

test("`trysail check` tells what an object's status says of the rest of the mesh", {
  skip,
  timeout: 180_000,
}, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, { ...found.programs, controllerManager: null });
  await installIstioKinds(kubernetes, ["VirtualService"]);
  const route = async (name: string, condition: object, observedGeneration: number) => {
    const spec = { hosts: [name], http: [{ route: [{ destination: { host: name } }] }] };
    await create(kubernetes, ROUTES, {
      ...{ apiVersion: "networking.istio.io/v1", kind: "VirtualService" },
      metadata: { name },
      spec,
    });
    const status = { observedGeneration, conditions: [{ type: "Accepted", status: "True" }, condition] };
    const type = "application/merge-patch+json";
    assert.equal((await kubernetes.call("PATCH", `${ROUTES}/${name}/status`, { status }, type)).status, 200);
  };
  const missing = { type: "ResolvedRefs", status: "False", reason: "ReferenceMissing", message: "names nobody" };
  await route("fine", { type: "Conflicted", status: "False", reason: "NoConflicts", message: "none" }, 1);
  await route("missing", missing, 1);
  await route(
    "refused",
    { type: "Programmed", status: "False", reason: "ProxyRejected", message: "1 proxy says no" },
    1,
  );
  await route("twice", { type: "Conflicted", status: "True", reason: "ObjectConflict", message: "another one" }, 1);
  // About a version that is no longer there.
  await route("mended", missing, 0);
  const { stdout } = await trysail("check", "--kubeconfig", kubernetes.kubeconfig, "-o", "json");
  const lines: readonly CheckLine[] = JSON.parse(stdout);
  const said = lines.filter(({ check }) => check === "configuration");
  assert.deepEqual(
    said.map(({ status, message }) => `${status}: ${message}`),
    [
      "pass: each of 5 objects can be used",
      "warn: VirtualService default/missing: names nobody",
      "warn: VirtualService default/refused: 1 proxy says no",
      "warn: VirtualService default/twice: another one",
    ],
  );
});
