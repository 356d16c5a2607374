import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { test } from "node:test";
import { openAds, sidecarNode, TYPE_URL } from "../support/ads-client.ts";
import { testControlPlane } from "../support/control-plane.ts";
import { endpoint, istio, pod, service } from "../support/manifests.ts";
import { temporaryPath } from "../support/state.ts";

test("endpoints are in the cluster that the injection config names, as subsets ask for it", async (t) => {
  const injectionConfigFile = await temporaryPath(t, "injection.json");
  await writeFile(injectionConfigFile, JSON.stringify({ clusterId: "home" }));
  const manifests = [
    service({ name: "web", ports: { http: 80 }, clusterIP: "10.96.0.9" }),
    pod({ name: "web-0", ip: "10.1.0.1", labels: { app: "web" } }),
    endpoint("web", { name: "web-0", ip: "10.1.0.1" }, { http: 8080 }),
    istio("DestinationRule", "web", {
      host: "web",
      subsets: ["home", "Kubernetes"].map((name) => ({ name, labels: { "topology.istio.io/cluster": name } })),
    }),
  ];
  const mesh = await testControlPlane(t, { "mesh.yaml": manifests.join("") }, { injectionConfigFile });
  const token = await mesh.issuer.issue({ namespace: "shop", serviceAccount: "cart", ttlMs: 60_000 });
  const ads = openAds(t, { port: mesh.ports.grpc, rootPath: mesh.rootPath }, token);
  const names = ["home", "Kubernetes"].map((subset) => `outbound|80|${subset}|web.shop.svc.cluster.local`);
  ads.subscribe(sidecarNode("cart-1", "shop", "cart"), TYPE_URL.endpoint, names);
  const { resources } = await ads.response();
  const found = Object.fromEntries(
    resources.map(({ name, resource }) => [name, Buffer.from(resource?.value ?? []).includes("10.1.0.1")]),
  );
  assert.deepEqual(found, { [names[0] ?? ""]: true, [names[1] ?? ""]: false });
});
