import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultInjectionConfig } from "../../src/injection/injection-config.ts";
import { GATEWAY_CHART, helm, helmMissing } from "../support/helm.ts";
import { until } from "../support/until.ts";
import { findKubernetes } from "./programs.ts";
import { startKubernetes } from "./start-kubernetes.ts";
import { controlPlaneFor, registerInjection, webhookOptions } from "./webhooks.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : helmMissing;
const NAMESPACE = "istio-ingress";

test("the gateway's chart on a real API server", { skip, timeout: 180_000 }, async (t) => {
  if ("missing" in found) return;
  const client = await startKubernetes(t, found.programs);
  const mesh = await controlPlaneFor(t, client, { [NAMESPACE]: {} });
  await registerInjection(client, webhookOptions(mesh));
  const read = async (path: string) => (await client.call("GET", path)).body;
  await until("the webhook to be asked", async () => {
    const { body } = await client.call("POST", `/api/v1/namespaces/${NAMESPACE}/pods?dryRun=All`, {
      metadata: { name: "probe", labels: { "sidecar.istio.io/inject": "true" } },
      spec: { containers: [{ name: "app", image: "example.com/app:1" }] },
    });
    return body.spec?.initContainers !== undefined;
  });

  await t.test("every object is accepted, and the same again changes nothing", async () => {
    const install = () =>
      helm(
        "upgrade",
        "--install",
        "istio-ingressgateway",
        GATEWAY_CHART,
        `--kubeconfig=${client.kubeconfig}`,
        `--namespace=${NAMESPACE}`,
        "--set=revision=default",
        "--set=env.LOG=x",
      );
    await install();
    const deployment = `/apis/apps/v1/namespaces/${NAMESPACE}/deployments/istio-ingressgateway`;
    const { generation } = (await read(deployment)).metadata;
    await install();
    assert.equal((await read(deployment)).metadata.generation, generation);
  });

  await t.test("its pod becomes an Envoy, in a namespace that is not of the mesh", async () => {
    const pod = await until(
      "the Deployment's pod",
      async () => {
        const { items } = await read(`/api/v1/namespaces/${NAMESPACE}/pods`);
        return items[0];
      },
      { timeoutMs: 60_000 },
    );
    const [proxy, ...others] = pod.spec.containers;
    assert.deepEqual(others, []);
    assert.deepEqual([proxy.name, proxy.image], ["istio-proxy", defaultInjectionConfig.proxyImage]);
    assert.equal(proxy.resources.requests.cpu, "100m");
    assert.equal(pod.spec.serviceAccountName, "istio-ingressgateway");
    const init = pod.spec.initContainers[0];
    assert.equal(init.name, "istio-init");
    const variable = (name: string) => init.env.find((each: { name: string }) => each.name === name)?.value;
    assert.equal(variable("PROXY_TYPE"), "router");
  });
});
