import assert from "node:assert/strict";
import { test } from "node:test";
import { placeholderIdentity } from "../../src/ca/serving/placeholder-identity.ts";
import { GATEWAY_CHART, helm } from "../support/helm.ts";
import { until } from "../support/until.ts";
import { deployment, service } from "./app-objects.ts";
import { clusterMissing, createNamespace, meshCluster, uninstallMeshAfter, upgradeMesh } from "./mesh-cluster.ts";
import { restart } from "./rollouts.ts";

const skip = clusterMissing;
const RELEASE = "istio-ingressgateway";
const HOST = `${RELEASE}.istio-ingress`;
const SOON = { timeoutMs: 30_000, everyMs: 200 };

test("callers from outside reach a STRICT mesh through a gateway of the chart, by HTTP and HTTPS", {
  skip,
  timeout: 300_000,
}, async (t) => {
  const cluster = await meshCluster(t);
  uninstallMeshAfter(t, cluster);
  await createNamespace(t, cluster, "istio-ingress");
  await createNamespace(t, cluster, "shop", { "istio-injection": "enabled" });
  await createNamespace(t, cluster, "outside");
  await upgradeMesh(cluster, "credentials.namespaces={istio-ingress}");
  const place = [`--kubeconfig=${cluster.kubeconfig}`, "--namespace=istio-ingress"];
  t.after(() => helm("uninstall", RELEASE, ...place, "--wait", "--ignore-not-found", "--timeout=60s"));
  const values = ["--set=autoscaling.enabled=false", "--set=service.type=ClusterIP"];
  await helm("upgrade", "--install", RELEASE, GATEWAY_CHART, ...place, ...values, "--wait", "--timeout=100s");

  const { chainPem, keyPem } = placeholderIdentity();
  await cluster.apply(
    service("shop", "web"),
    deployment({ namespace: "shop", name: "web" }),
    deployment({ namespace: "outside", name: "stranger" }),
    {
      apiVersion: "security.istio.io/v1",
      kind: "PeerAuthentication",
      ...named("shop", "strict", { mtls: { mode: "STRICT" } }),
    },
    {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "edge", namespace: "istio-ingress" },
      ...{ type: "kubernetes.io/tls", stringData: { "tls.crt": chainPem, "tls.key": keyPem } },
    },
    {
      apiVersion: "networking.istio.io/v1",
      kind: "Gateway",
      ...named("istio-ingress", "public", {
        selector: { istio: "ingressgateway" },
        servers: [
          { port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["shop/*"] },
          {
            port: { number: 443, name: "https", protocol: "HTTPS" },
            hosts: ["*"],
            tls: { mode: "SIMPLE", credentialName: "edge" },
          },
        ],
      }),
    },
    {
      apiVersion: "networking.istio.io/v1",
      kind: "VirtualService",
      ...named("shop", "web", {
        hosts: [HOST],
        gateways: ["istio-ingress/public"],
        http: [{ match: [{ uri: { prefix: "/" } }], route: [{ destination: { host: "web" } }] }],
      }),
    },
  );
  await cluster.readyPod("shop", "web");
  const stranger = await cluster.readyPod("outside", "stranger");
  await until(
    "plaintext to the app itself to be refused",
    async () => (await cluster.callFrom(stranger, "http://web.shop/")).status === 0,
    SOON,
  );
  for (const scheme of ["http", "https"]) {
    const answered = async () => {
      const answer = await cluster.callFrom(stranger, `${scheme}://${HOST}/`);
      return answer.status === 200 ? answer : undefined;
    };
    const { body } = await until(`an answer by ${scheme}`, answered, SOON);
    // The app's sidecar knows the gateway by its certificate.
    assert.match(body, /URI=spiffe:\/\/cluster\.local\/ns\/istio-ingress\/sa\/istio-ingressgateway/);
  }

  await t.test("a rolling restart of the gateway costs no request, of connections that are kept neither", async (t) => {
    await cluster.control(stranger, `/load/start?keep&url=${encodeURIComponent(`http://${HOST}/`)}`);
    await until("requests", async () => (await cluster.control(stranger, "/load")).requests > 10, SOON);
    await restart(cluster, "istio-ingress", RELEASE);
    const { requests, failures } = await cluster.control(stranger, "/load/stop");
    t.diagnostic(`${requests} requests`);
    assert.deepEqual(failures, []);
  });

  const programmed = async () => {
    const { status } = await cluster.read("/apis/networking.istio.io/v1/namespaces/istio-ingress/gateways/public");
    const found: readonly { type: string; status: string }[] = status?.conditions ?? [];
    return found
      .filter((one) => one.status === "True")
      .map(({ type }) => type)
      .sort();
  };
  await until("the Gateway's status", async () => (await programmed()).includes("Programmed"), SOON);
});

function named(namespace: string, name: string, spec: object) {
  return { metadata: { namespace, name }, spec };
}
