import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { createLog } from "../../src/platform/log.ts";
import { testControlPlane } from "../support/control-plane.ts";
import { temporaryPath } from "../support/state.ts";
import { until } from "../support/until.ts";
import { create } from "./create.ts";
import { findKubernetes } from "./programs.ts";
import { startRelay } from "./relay.ts";
import { servedClusters } from "./served-clusters.ts";
import { startKubernetes } from "./start-kubernetes.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : false;
const PATIENT = { timeoutMs: 40_000, everyMs: 50 };
/** As docs/kubernetes.md has it. */
const HAND_OVER_MS = 15_000;

test("a replica that is cut off from the API server hands over, serves on, says so and comes back", {
  skip,
  timeout: 180_000,
}, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, { ...found.programs, controllerManager: null });
  for (const name of ["trysail-system", "shop"]) await create(kubernetes, "/api/v1/namespaces", { metadata: { name } });
  const addService = (name: string) =>
    create(kubernetes, "/api/v1/namespaces/shop/services", {
      metadata: { name },
      spec: { ports: [{ name: "http", port: 80 }] },
    });
  await addService("first");
  const relay = await startRelay(t, kubernetes);
  const path = await temporaryPath(t, "relayed");
  await writeFile(path, (await readFile(kubernetes.kubeconfig, "utf8")).replace(kubernetes.url, relay.url));

  const start = (kubeconfig: string, log: string[] = []) =>
    testControlPlane(
      t,
      {},
      { source: { kind: "kubeconfig", path: kubeconfig }, plaintext: { host: "127.0.0.1", port: 0 } },
      createLog("info", { write: (line) => log.push(line) }),
    );
  const log: string[] = [];
  const cutOff = await start(path, log);
  const metrics = async ({ ports }: typeof cutOff) =>
    (await fetch(`http://127.0.0.1:${ports.monitoring}/metrics`)).text();
  const leads = (plane: typeof cutOff) => async () => /^trysail_leader 1$/m.test(await metrics(plane));
  await until("the first to lead", leads(cutOff), PATIENT);
  const other = await start(kubernetes.kubeconfig);
  const serves = (plane: typeof cutOff, name: string) =>
    until(
      `${name} to be served`,
      async () => (await servedClusters(t, plane)).includes(`outbound|80||${name}.shop.`),
      PATIENT,
    );

  relay.cut();
  const cutAtMs = performance.now();
  await until("the other to lead", leads(other), PATIENT);
  assert.ok(performance.now() - cutAtMs < HAND_OVER_MS, `${performance.now() - cutAtMs} ms until the other leads`);
  assert.match(await metrics(cutOff), /^trysail_leader 0$/m);
  assert.match(await metrics(cutOff), /^trysail_kubernetes_requests_total\{code="none"\} [1-9]/m);
  assert.match(log.join(""), /could not be renewed in time.*no longer leads/);
  await addService("meanwhile");
  await serves(other, "meanwhile");
  await serves(cutOff, "first");
  assert.ok(!(await servedClusters(t, cutOff)).includes("meanwhile"), "it is cut off");
  assert.equal((await fetch(`http://127.0.0.1:${cutOff.ports.http}/ready`)).status, 200);

  relay.mend();
  await serves(cutOff, "meanwhile");
  assert.match(await metrics(cutOff), /^trysail_leader 0$/m);
  await other.stop();
  await until("it to lead again", leads(cutOff), PATIENT);
});
