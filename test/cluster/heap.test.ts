import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { test } from "node:test";
import { requiredAccess } from "../../src/control-plane/required-access.ts";
import { openAds, sidecarNode, TYPE_URL } from "../support/ads-client.ts";
import { formsOf, secretsIn, serveWithHeaps, signatureOf } from "../support/heap.ts";
import { temporaryPath } from "../support/state.ts";
import { create } from "./create.ts";
import { findKubernetes } from "./programs.ts";
import { accountKubeconfig, podClient } from "./service-account.ts";
import { startKubernetes } from "./start-kubernetes.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : false;
const SECRETS = "/api/v1/namespaces/trysail-system/secrets";

test("in a cluster neither the authority's key nor the token of an open stream is a string in the heap", {
  skip,
  timeout: 300_000,
}, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, { ...found.programs, controllerManager: null });
  const { cluster, own } = requiredAccess("trysail-system");
  await podClient(t, kubernetes, { name: "trysail", rules: [...cluster, ...own] });
  const kubeconfig = await accountKubeconfig(t, kubernetes, "trysail");
  await create(kubernetes, "/api/v1/namespaces", { metadata: { name: "shop" } });
  await create(kubernetes, "/api/v1/namespaces/shop/serviceaccounts", { metadata: { name: "cart" } });
  const { body } = await kubernetes.call("POST", "/api/v1/namespaces/shop/serviceaccounts/cart/token", {
    spec: { audiences: ["istio-ca"] },
  });
  const token: string = body.status.token;

  const mesh = await serveWithHeaps(t, { kubeconfig });
  const { body: secret } = await kubernetes.call("GET", `${SECRETS}/trysail-ca-secret`);
  const rootPath = await temporaryPath(t, "root.pem");
  await writeFile(rootPath, Buffer.from(secret.data["root-cert.pem"], "base64"));
  const ads = openAds(t, { port: mesh.ports.grpc, rootPath }, token);
  ads.subscribe(sidecarNode("cart-1", "shop", "cart"), TYPE_URL.secret, ["default"]);
  await ads.response();

  const inSecret: string = secret.data["authority.json"];
  const state = Buffer.from(inSecret, "base64").toString();
  const { active } = JSON.parse(state);
  // Where the key begins in the Secret's base64, which has four digits for three bytes.
  const keyAt = Math.ceil((state.indexOf("PRIVATE KEY-----") + 30) / 3) * 4;
  const heap = (await mesh.heaps()).get("main") ?? "";
  assert.ok(heap.includes("spiffe://cluster.local/ns/shop/sa/cart"), "the snapshot has strings");
  assert.deepEqual(
    secretsIn(heap, {
      "the authority's key": formsOf(active.keyPem),
      "the authority's key, as the Secret has it": {
        base64: inSecret.slice(keyAt, keyAt + 80),
      },
      "the token of an open stream": signatureOf(token),
    }),
    [],
  );
});
