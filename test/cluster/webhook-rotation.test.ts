import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createSelfSignedRoot } from "../../src/ca/authority/self-signed-root.ts";
import { systemClock as clock } from "../../src/platform/clock.ts";
import { systemRandom as random } from "../../src/platform/random.ts";
import { askAuthority, slotOf } from "../support/ask-authority.ts";
import { testControlPlane } from "../support/control-plane.ts";
import { until } from "../support/until.ts";
import { create } from "./create.ts";
import { findKubernetes } from "./programs.ts";
import { startKubernetes } from "./start-kubernetes.ts";
import { registerInjection, webhookOptions } from "./webhooks.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : false;
const SYSTEM = "trysail-system";
const trustDomain = "cluster.local";
const CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
const PATIENT = { timeoutMs: 60_000, everyMs: 100 };
/** How many pods are to be made in a state of the mesh. */
const ENOUGH = 10;

test("an API server calls the webhook through rotations of the root under its certificate, and no pod is refused", {
  skip,
  timeout: 240_000,
}, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, { ...found.programs, controllerManager: null });
  for (const [name, labels] of [
    [SYSTEM, {}],
    ["shop", { "istio-injection": "enabled" }],
  ] as const) {
    await create(kubernetes, "/api/v1/namespaces", { metadata: { name, labels } });
  }
  await create(kubernetes, "/api/v1/namespaces/shop/serviceaccounts", { metadata: { name: "default" } });
  const source = { kind: "kubeconfig", path: kubernetes.kubeconfig } as const;
  const mesh = await testControlPlane(t, {}, { source, rootPropagationMs: 3000 });
  const idOf = async () => slotOf(await askAuthority(mesh), "active");
  // As the chart installs it: without roots, which the control plane adds.
  await registerInjection(kubernetes, webhookOptions(mesh, { caBundlePem: "" }));
  const bundle = async (): Promise<string> => {
    const { body } = await kubernetes.call("GET", CONFIGURATIONS);
    return Buffer.from(body.items[0].webhooks[0].clientConfig.caBundle ?? "", "base64").toString();
  };

  const createPod = async (name: string) => {
    const pod = { metadata: { name }, spec: { containers: [{ name: "app", image: "example.com/app:1" }] } };
    const { status, body } = await kubernetes.call("POST", "/api/v1/namespaces/shop/pods", pod);
    return body.spec?.initContainers === undefined ? `${status} ${body.message}` : null;
  };
  await until("the webhook to be called", async () => (await createPod("first")) === null, PATIENT);

  const refused: string[] = [];
  let made = 0;
  let isOver = false;
  const load = (async () => {
    while (!isOver) {
      const problem = await createPod(`app-${made++}`);
      if (problem !== null) refused.push(problem);
      await sleep(20);
    }
  })();
  t.after(async () => {
    isOver = true;
    await load;
  });
  const pass = async () => {
    const goal = made + ENOUGH;
    await until("more pods", () => made >= goal, PATIENT);
  };
  const rotate = async (begin: () => Promise<unknown>) => {
    const before = await idOf();
    await begin();
    await until("another authority to sign", async () => (await idOf()) !== before, PATIENT);
    await pass();
    await askAuthority(mesh, "retire", { force: true });
    const { body } = await kubernetes.call("GET", `/api/v1/namespaces/${SYSTEM}/secrets/trysail-ca-secret`);
    const roots = Buffer.from(body.data["root-cert.pem"], "base64").toString();
    assert.equal(roots.split("BEGIN CERTIFICATE").length, 2, "the new root alone");
    await until("the webhook to be known by that", async () => (await bundle()) === roots, PATIENT);
    await pass();
    return roots;
  };

  await rotate(() => askAuthority(mesh, "prepare"));
  const pluggedIn = createSelfSignedRoot({ clock, random, trustDomain });
  const stringData = {
    "ca-cert.pem": pluggedIn.certificatePem,
    "ca-key.pem": Buffer.from(pluggedIn.keyPem.reveal()).toString(),
  };
  const roots = await rotate(() =>
    create(kubernetes, `/api/v1/namespaces/${SYSTEM}/secrets`, { metadata: { name: "cacerts" }, stringData }),
  );
  assert.equal(roots, pluggedIn.certificatePem);
  isOver = true;
  await load;
  t.diagnostic(`${made} pods, ${refused.length} refused`);
  assert.deepEqual(refused, []);
});
