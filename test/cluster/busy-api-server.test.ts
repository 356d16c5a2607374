import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { requiredAccess, statusAccess } from "../../src/control-plane/required-access.ts";
import { createEventRecorder } from "../../src/kubernetes/event-recorder.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { systemRandom } from "../../src/platform/random.ts";
import { TYPE_URL } from "../../src/xds/resource-set.ts";
import { testControlPlane } from "../support/control-plane.ts";
import { until } from "../support/until.ts";
import { AdsClient, NODE, sendDelta } from "../support/xds-client.ts";
import { create } from "./create.ts";
import { exhaustPriority } from "./exhausted-priority.ts";
import { everyIstioKind, installIstioKinds } from "./istio-crds.ts";
import { findKubernetes } from "./programs.ts";
import { startRelay } from "./relay.ts";
import { servedClusters } from "./served-clusters.ts";
import { accountKubeconfig, podClient } from "./service-account.ts";
import { startKubernetes, type TestKubernetes } from "./start-kubernetes.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : false;
const NETWORKING = "/apis/networking.istio.io/v1/namespaces/shop/virtualservices";
const SECRET = "/api/v1/namespaces/trysail-system/secrets/trysail-ca-secret";
const PATIENT = { timeoutMs: 60_000, everyMs: 50 };
const UNAVAILABLE = 14;

test("an API server that answers every request with 429: nothing is lost, and the cause is told", {
  skip,
  timeout: 240_000,
}, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, { ...found.programs, controllerManager: null });
  await installIstioKinds(kubernetes, everyIstioKind);
  for (const name of ["trysail-system", "shop"]) await create(kubernetes, "/api/v1/namespaces", { metadata: { name } });
  await addService(kubernetes, "first");
  const { cluster, own } = requiredAccess("default");
  const rules = [...cluster, ...own, ...statusAccess.cluster, ...statusAccess.own];
  const client = await podClient(t, kubernetes, { name: "trysail", rules });
  const relay = await startRelay(t, kubernetes);
  const path = await accountKubeconfig(t, kubernetes, "trysail");
  await writeFile(path, (await readFile(path, "utf8")).replace(kubernetes.url, relay.url));
  const log: string[] = [];
  const plane = await testControlPlane(
    t,
    {},
    {
      source: { kind: "kubeconfig", path },
      plaintext: { host: "127.0.0.1", port: 0 },
      authenticators: [{ kind: "token-review" }],
    },
    createLog("info", { write: (line) => log.push(line) }),
  );
  const metrics = async () => (await fetch(`http://127.0.0.1:${plane.ports.monitoring}/metrics`)).text();
  const shows = (line: RegExp) => until(`${line}`, async () => line.test(await metrics()), PATIENT);
  const serves = (name: string) =>
    until(
      `${name} to be served`,
      async () => (await servedClusters(t, plane)).includes(`outbound|80||${name}.shop.`),
      PATIENT,
    );
  /** How a proxy's stream ends that shows a token nobody has seen; null where it is answered. */
  const refusal = async (): Promise<{ code: number; details: string } | null> => {
    const { body } = await kubernetes.call("POST", "/api/v1/namespaces/shop/serviceaccounts/cart/token", {
      spec: { audiences: ["istio-ca"], expirationSeconds: 600 + refusals++ },
    });
    const proxy = new AdsClient(t, {
      port: plane.ports.grpc,
      rootPem: await rootPem(kubernetes),
      token: body.status.token,
    });
    const stream = proxy.delta();
    sendDelta(stream, { node: NODE, typeUrl: TYPE_URL.cluster, resourceNamesSubscribe: ["*"] });
    const end = await until(
      "an answer or the end",
      () => (stream.responses.length > 0 ? { ended: null } : !stream.open && { ended: stream.ended() }),
      PATIENT,
    );
    proxy.close();
    return end.ended;
  };
  let refusals = 0;
  await create(kubernetes, "/api/v1/namespaces/shop/serviceaccounts", { metadata: { name: "cart" } });
  await shows(/^trysail_leader 1$/m);
  await serves("first");
  assert.equal(await refusal(), null);
  /** What stands beside it may change meanwhile: how long what it has signed lives. */
  const authorityKey = async (): Promise<string | undefined> => {
    const { data } = (await kubernetes.call("GET", SECRET)).body;
    return data && JSON.parse(Buffer.from(data["authority.json"], "base64").toString()).active.keyPem;
  };
  const key = await until("the authority", authorityKey);

  const release = await exhaustPriority(t, kubernetes, "trysail");
  await shows(/^trysail_kubernetes_requests_total\{code="429"\} [1-9]/m);
  // What was open stays open; what is written meanwhile has to wait.
  await addService(kubernetes, "meanwhile");
  await serves("meanwhile");
  await create(kubernetes, NETWORKING, virtualService);
  await kubernetes.call("DELETE", SECRET);
  const events = createEventRecorder({
    client,
    clock: systemClock,
    random: systemRandom,
    log: createLog("silent"),
    instance: "trysail-0",
  });
  t.after(() => events.stop());
  const regarding = { apiVersion: "v1", kind: "Pod", namespace: "shop", name: "cart-1" };
  events.record({ regarding, type: "Warning", reason: "ToldLate", action: "Test", note: "While it was busy." });
  const end = await refusal();
  assert.equal(end?.code, UNAVAILABLE, JSON.stringify(end));
  assert.match(end.details, /tokens cannot be verified at this time/);
  await shows(/^trysail_leader 0$/m);
  await until(
    "the cause in the log",
    () => log.some((line) => /the lease cannot be read or written/.test(line)),
    PATIENT,
  );
  for (const line of [/the lease cannot be read or written/, /tokens cannot be verified.*xDS stream ended/]) {
    assert.match(log.find((each) => line.test(each)) ?? "", /too many requests/i);
  }

  // Watches that must begin anew are refused as well.
  relay.cut();
  relay.mend();
  await addService(kubernetes, "behind-the-reset");
  await shows(/^trysail_kubernetes_kinds\{kind="Service",status="failing"\} 1$/m);
  await serves("meanwhile");
  assert.equal((await fetch(`http://127.0.0.1:${plane.ports.http}/ready`)).status, 200);

  await release();
  await serves("behind-the-reset");
  await shows(/^trysail_leader 1$/m);
  assert.equal(await until("a proxy to be let in", async () => (await refusal()) === null, PATIENT), true);
  const has = async (read: () => Promise<unknown>, what: string) => until(what, read, PATIENT);
  await has(async () => (await kubernetes.call("GET", `${NETWORKING}/late`)).body.status?.conditions, "its status");
  await has(async () => (await authorityKey()) === key, "the authority");
  await has(async () => {
    const { body } = await kubernetes.call("GET", "/apis/events.k8s.io/v1/namespaces/shop/events");
    return body.items.some(({ reason }: { reason: string }) => reason === "ToldLate");
  }, "the Event");
  await shows(/^trysail_kubernetes_kinds\{kind="Service",status="synced"\} 1$/m);
});

const virtualService = {
  apiVersion: "networking.istio.io/v1",
  kind: "VirtualService",
  metadata: { name: "late" },
  spec: { hosts: ["first"], http: [{ route: [{ destination: { host: "first" } }] }] },
};

function addService(kubernetes: TestKubernetes, name: string): Promise<void> {
  const spec = { ports: [{ name: "http", port: 80 }] };
  return create(kubernetes, "/api/v1/namespaces/shop/services", { metadata: { name }, spec });
}

async function rootPem(kubernetes: TestKubernetes): Promise<string> {
  return until("the trust bundle", async () => {
    const { body } = await kubernetes.call("GET", "/api/v1/namespaces/shop/configmaps/trysail-ca-root-cert");
    return body.data?.["root-cert.pem"];
  });
}
