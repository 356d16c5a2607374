import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { request } from "node:https";
import { join } from "node:path";
import { test } from "node:test";
import { type TestControlPlane, testControlPlane } from "../support/control-plane.ts";
import { meshConfig } from "../support/manifests.ts";
import { until } from "../support/until.ts";

const namespace = 'apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {istio-injection: "enabled"}}\n';

test("the webhook follows the MeshConfig's defaultConfig and enablePrometheusMerge", async (t) => {
  const mesh = await testControlPlane(t, { "namespace.yaml": namespace });
  assert.deepEqual(await injected(mesh), { concurrency: undefined, isScraped: true });

  const yaml = "enablePrometheusMerge: false\ndefaultConfig: { concurrency: 7 }";
  await writeFile(join(mesh.dir, "mesh.yaml"), meshConfig(yaml));
  await until("the settings to hold", async () => (await injected(mesh)).concurrency === 7);
  assert.equal((await injected(mesh)).isScraped, false);
});

/** What the webhook would make of a pod that says nothing. */
async function injected(mesh: TestControlPlane): Promise<{ concurrency: number | undefined; isScraped: boolean }> {
  const object = { metadata: { name: "web" }, spec: { containers: [{ name: "app" }] } };
  const kind = { group: "", version: "v1", kind: "Pod" };
  const review = { uid: "u-1", kind, operation: "CREATE", namespace: "shop", object };
  const answer = await post(
    mesh,
    JSON.stringify({ apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", request: review }),
  );
  const patch = Buffer.from(JSON.parse(answer).response.patch, "base64").toString();
  const config: { concurrency?: number } = JSON.parse(
    JSON.parse(/"PROXY_CONFIG","value":("(?:[^"\\]|\\.)*")/.exec(patch)?.[1] ?? assert.fail(patch)),
  );
  return { concurrency: config.concurrency, isScraped: patch.includes("prometheus.io/scrape") };
}

function post(mesh: TestControlPlane, body: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request(
      {
        host: "localhost",
        port: mesh.ports.https,
        path: "/inject",
        method: "POST",
        ca: readFileSync(mesh.rootPath),
        headers: { "content-type": "application/json" },
      },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
        });
        response.once("end", () => resolve(text));
      },
    );
    call.once("error", reject).end(body);
  });
}
