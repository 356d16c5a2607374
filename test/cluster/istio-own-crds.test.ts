import assert from "node:assert/strict";
import { test } from "node:test";
import { createLog } from "../../src/platform/log.ts";
import { testControlPlane } from "../support/control-plane.ts";
import { CHART, helm, helmMissing } from "../support/helm.ts";
import { until } from "../support/until.ts";
import { create } from "./create.ts";
import { findIstioCrds } from "./istio-module.ts";
import { findKubernetes } from "./programs.ts";
import { startKubernetes } from "./start-kubernetes.ts";
import { trysail } from "./trysail.ts";

const found = findKubernetes();
const istio = findIstioCrds();
const skip = "missing" in found ? found.missing : "missing" in istio ? istio.missing : helmMissing;
const CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const PATIENT = { timeoutMs: 60_000, everyMs: 100 };

/** Of each kind that Istio has, in one of its versions. */
const objects: readonly [kind: string, apiVersion: string, spec: object][] = [
  [
    "VirtualService",
    "networking.istio.io/v1alpha3",
    { hosts: ["a.example"], http: [{ route: [{ destination: { host: "a.example" } }] }] },
  ],
  ["DestinationRule", "networking.istio.io/v1beta1", { host: "a.example", trafficPolicy: { tls: { mode: "SIMPLE" } } }],
  [
    "ServiceEntry",
    "networking.istio.io/v1",
    { hosts: ["a.example"], ports: [{ number: 80, name: "http", protocol: "HTTP" }], resolution: "DNS" },
  ],
  [
    "Gateway",
    "networking.istio.io/v1",
    { selector: { istio: "x" }, servers: [{ port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["*"] }] },
  ],
  ["Sidecar", "networking.istio.io/v1alpha3", { egress: [{ hosts: ["./*"] }] }],
  ["WorkloadEntry", "networking.istio.io/v1", { address: "192.0.2.1" }],
  ["WorkloadGroup", "networking.istio.io/v1", { template: { serviceAccount: "vm" } }],
  ["ProxyConfig", "networking.istio.io/v1beta1", { concurrency: 1 }],
  ["PeerAuthentication", "security.istio.io/v1beta1", { mtls: { mode: "STRICT" } }],
  ["AuthorizationPolicy", "security.istio.io/v1", { rules: [{ to: [{ operation: { paths: ["/open"] } }] }] }],
];

test("where Istio's own CRDs are, they are used and never touched", { skip, timeout: 240_000 }, async (t) => {
  if ("missing" in found || "missing" in istio) return;
  const client = await startKubernetes(t, { ...found.programs, controllerManager: null });
  for (const crd of istio.crds) await create(client, CRDS, crd);
  const own = istio.crds.map(({ metadata }) => metadata.name);
  /** What says whether somebody wrote them, but for what the API server says of them. */
  const state = async (): Promise<Map<string, string>> => {
    const { items } = (await client.call("GET", CRDS)).body;
    return new Map(
      items.map(({ metadata: { name, uid, generation, labels, annotations } }: Crd) => [
        name,
        JSON.stringify([uid, generation, labels, annotations]),
      ]),
    );
  };
  const before = await state();
  const untouched = async () => {
    const now = await state();
    for (const name of own) assert.equal(now.get(name), before.get(name), name);
    return [...now.keys()].filter((name) => !own.includes(name));
  };
  const place = [`--kubeconfig=${client.kubeconfig}`, "--namespace=trysail-system"];

  await t.test("by the chart, which brings what Istio has not", async () => {
    await helm("install", "trysail", CHART, ...place, "--create-namespace");
    await helm("upgrade", "trysail", CHART, ...place, "--set=logLevel=debug");
    assert.deepEqual(await untouched(), ["ratelimits.trysail.dev"]);
  });

  await t.test("by the control plane, which reads their objects and says on each what became of it", async (t) => {
    // No control plane of the chart runs here that could be asked.
    await client.call(
      "DELETE",
      "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/trysail-validator",
    );
    await create(client, "/api/v1/namespaces", { metadata: { name: "shop" } });
    const complaints: string[] = [];
    await testControlPlane(
      t,
      {},
      { source: { kind: "kubeconfig", path: client.kubeconfig } },
      createLog("warn", { write: (line) => complaints.push(line) }),
    );
    for (const [kind, apiVersion, spec] of objects) {
      const plural =
        istio.crds.find(({ spec: { names } }) => names.kind === kind)?.spec.names.plural ?? assert.fail(kind);
      const path = `/apis/${apiVersion}/namespaces/shop/${plural}`;
      await create(client, `${path}?fieldValidation=Strict`, { apiVersion, kind, metadata: { name: "x" }, spec });
      const { type, status, observedGeneration } = await until(
        `the status of ${kind}`,
        async (): Promise<Condition | undefined> =>
          (await client.call("GET", `${path}/x`)).body.status?.conditions?.[0],
        PATIENT,
      );
      assert.deepEqual([kind, type, status, observedGeneration], [kind, "Accepted", "True", 1]);
    }
    assert.deepEqual(complaints, []);
  });

  await t.test("by `trysail uninstall --purge --crds`, which leaves them with their objects", async () => {
    const all = ["--purge", "--crds", "--yes"];
    const { exitCode, stderr } = await trysail("uninstall", "--kubeconfig", client.kubeconfig, ...all);
    assert.equal(exitCode, 0, stderr);
    await until("ours to be gone", async () => (await untouched()).length === 0, PATIENT);
    const { items } = (await client.call("GET", "/apis/networking.istio.io/v1/virtualservices")).body;
    assert.equal(items.length, 1);
  });
});

interface Crd {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly generation: number;
    readonly labels?: object;
    readonly annotations?: object;
  };
}

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly observedGeneration: number;
}
