import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import { testControlPlane } from "../support/control-plane.ts";
import { envoyMissing } from "../support/envoy.ts";
import { startEnvoyInPod } from "../support/envoy-in-pod.ts";
import { adsOver } from "../support/joined-envoy.ts";
import { endpoint, istio, pod as podObject, service } from "../support/manifests.ts";
import { createTestNetwork, netnsMissing } from "../support/netns.ts";
import { programmed } from "../support/programmed.ts";
import { socketTo } from "../support/socket-to.ts";
import { until } from "../support/until.ts";

/** What a real Envoy, joined to a control plane in a pod's network, refuses is told on the object that asked for it. */

const skip = netnsMissing() || envoyMissing();

function bootstrap(googleGrpc: JsonObject, ip: string): JsonObject {
  const ads = { ads: {}, resourceApiVersion: "V3" };
  return {
    node: {
      id: `sidecar~${ip}~web-0.shop~shop.svc.cluster.local`,
      cluster: "web",
      metadata: { NAMESPACE: "shop", SERVICE_ACCOUNT: "web" },
    },
    dynamicResources: {
      adsConfig: {
        apiType: "DELTA_GRPC",
        transportApiVersion: "V3",
        setNodeOnFirstMessageOnly: true,
        grpcServices: [{ googleGrpc }],
      },
      cdsConfig: ads,
      ldsConfig: ads,
    },
  };
}

test("an address that the pod does not have is told in Envoy's words on the Sidecar that would listen there", {
  skip,
  timeout: 120_000,
}, async (t) => {
  const { pod } = await createTestNetwork(t);
  const sidecar = (bind: string) =>
    istio("Sidecar", "own", {
      egress: [
        { port: { number: 8080, protocol: "HTTP", name: "http" }, captureMode: "NONE", bind, hosts: ["./*"] },
        { hosts: ["./*"] },
      ],
    });
  const around =
    podObject({ name: "web-0", ip: pod.ipv4, labels: { app: "web" } }) +
    service({ name: "web", ports: { http: 8080 }, clusterIP: "10.96.0.5" }) +
    endpoint("web", { name: "web-0", ip: pod.ipv4 }, { http: 8080 }) +
    istio("VirtualService", "web", { hosts: ["web"], http: [{ route: [{ destination: { host: "web" } }] }] });
  const leaving = service({ name: "leaving", ports: { http: 8080 }, clusterIP: "10.96.0.6" });
  const folder = { "mesh.yaml": around, "leaving.yaml": leaving, "sidecar.yaml": sidecar("192.0.2.1") };
  const mesh = await testControlPlane(t, folder);
  const target = `unix:${await socketTo(t, mesh.ports.grpc)}`;
  const ads = await adsOver(t, mesh, { target, rootPem: await readFile(mesh.rootPath, "utf8") });
  const { admin } = await startEnvoyInPod(t, pod, bootstrap(ads, pod.ipv4), { asRoot: true });

  const refused = await until("the Sidecar to be refused", async () => {
    const condition = await programmed(mesh, "Sidecar", "own");
    return condition?.status === "False" ? condition : undefined;
  });
  assert.match(refused.message, /^1 of 1 proxy refuses it .*; web-0\.shop: .*cannot bind '192\.0\.2\.1:8080'/);
  assert.equal((await programmed(mesh, "VirtualService", "web"))?.status, "True", "nobody else is to blame");

  const hasCluster = async () => (await admin("/clusters")).includes("|leaving.shop.svc.cluster.local::");
  assert.ok(await hasCluster());
  await writeFile(join(mesh.dir, "leaving.yaml"), "");
  await until("the cluster of a service that left to be gone, whatever is refused", async () => !(await hasCluster()));

  await writeFile(join(mesh.dir, "sidecar.yaml"), sidecar("127.0.0.1"));
  await until("the mended Sidecar to be taken", async () => {
    return (await programmed(mesh, "Sidecar", "own"))?.status === "True";
  });
});
