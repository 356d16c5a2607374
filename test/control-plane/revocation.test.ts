import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { join } from "node:path";
import { test } from "node:test";
import { certificatesOf } from "../../src/ca/x509/pem-certificates.ts";
import { type AdsClient, openAds, sidecarNode, TYPE_URL } from "../support/ads-client.ts";
import { testControlPlane } from "../support/control-plane.ts";
import { buildCsr } from "../support/csr.ts";
import { istio, pod, secret } from "../support/manifests.ts";
import { until } from "../support/until.ts";

const POLICY = JSON.stringify({
  apiVersion: "security.istio.io/v1",
  kind: "AuthorizationPolicy",
  metadata: {
    name: "revoked",
    namespace: "trysail-system",
    labels: { "trysail.io/revokes-identities": "true" },
  },
  spec: { action: "DENY", rules: [{ from: [{ source: { principals: ["cluster.local/ns/shop/sa/cart"] } }] }] },
});

test("an identity that a policy revokes gets no certificate until the policy goes, and others get theirs", async (t) => {
  const mesh = await testControlPlane(t, {});
  const ask = async (serviceAccount: string) => {
    const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const token = await mesh.issuer.issue({
      ...{ namespace: "shop", serviceAccount, audience: "istio-ca", ttlMs: 60_000 },
    });
    return post(mesh.ports.https, readFileSync(mesh.rootPath), token, buildCsr({ keys }));
  };
  assert.equal((await ask("cart")).status, 200);
  const file = join(mesh.dir, "revoked.yaml");
  await writeFile(file, POLICY);
  const refusal = await until("the refusal", async () => {
    const answer = await ask("cart");
    return answer.status === 403 && answer;
  });
  assert.match(refusal.body, /revoked by AuthorizationPolicy trysail-system\/revoked/);
  const other = await ask("page");
  assert.equal(other.status, 200);
  assert.equal(certificatesOf(other.body)[0]?.subjectAltName, "URI:spiffe://cluster.local/ns/shop/sa/page");
  await rm(file);
  await until("certificates again", async () => (await ask("cart")).status === 200);
});

test("a revoked identity is given no Secrets any more, on a stream that stands or on a new one", async (t) => {
  const mesh = await testControlPlane(t, {
    "pod.yaml": pod({ name: "cart-1", ip: "10.1.0.1", labels: { app: "cart" }, serviceAccount: "cart" }),
    "rule.yaml": istio("DestinationRule", "bank", {
      host: "bank.test",
      workloadSelector: { matchLabels: { app: "cart" } },
      trafficPolicy: { tls: { mode: "MUTUAL", credentialName: "bank" } },
    }),
    "secret.yaml": secret("bank", { "tls.crt": "chain", "tls.key": "key" }),
  });
  const token = await mesh.issuer.issue({ namespace: "shop", serviceAccount: "cart", ttlMs: 60_000 });
  const open = () => {
    const ads = openAds(t, { port: mesh.ports.grpc, rootPath: mesh.rootPath }, token);
    ads.subscribe(sidecarNode("cart-1", "shop", "cart"), TYPE_URL.secret, ["kubernetes://bank"]);
    return ads;
  };
  const standing = open();
  const given = await standing.response();
  assert.deepEqual(
    given.resources.map(({ name }) => name),
    ["kubernetes://bank"],
  );
  standing.acknowledge(given);
  await writeFile(join(mesh.dir, "revoked.yaml"), POLICY);
  const assertTaken = async (ads: AdsClient) => {
    const { resources, removedResources } = await ads.response();
    assert.deepEqual([resources, removedResources], [[], ["kubernetes://bank"]]);
  };
  await assertTaken(standing);
  await assertTaken(open());
});

test("a revoked identity of the control plane's own namespace neither sees nor turns the authority, nor reads pages", async (t) => {
  const principal = "cluster.local/ns/trysail-system/sa/cart";
  const mesh = await testControlPlane(t, {
    "revoked.yaml": POLICY.replace("cluster.local/ns/shop/sa/cart", principal),
  });
  const ask = async (serviceAccount: string, path: string, method = "GET") => {
    const token = await mesh.issuer.issue({ namespace: "trysail-system", serviceAccount, ttlMs: 60_000 });
    const headers = { authorization: `Bearer ${token}` };
    const { status } = await fetch(`http://127.0.0.1:${mesh.ports.http}${path}`, { method, headers });
    return status;
  };
  assert.deepEqual([await ask("page", "/ca"), await ask("page", "/debug/syncz")], [200, 200]);
  assert.deepEqual([await ask("cart", "/ca"), await ask("cart", "/debug/syncz")], [403, 403]);
  assert.equal(await ask("cart", "/ca/prepare", "POST"), 403);
  const status = await fetch(`http://127.0.0.1:${mesh.ports.http}/ca`, {
    headers: {
      authorization: `Bearer ${await mesh.issuer.issue({ namespace: "trysail-system", serviceAccount: "page", ttlMs: 60_000 })}`,
    },
  });
  const { slots } = (await status.json()) as { slots: unknown[] };
  assert.equal(slots.length, 1, "nothing was prepared");
});

function post(port: number, ca: Buffer, token: string, body: Buffer): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/pkcs10" };
    const options = { host: "127.0.0.1", port, path: "/v1/certificates", method: "POST", ca, headers, agent: false };
    const outgoing = request(options, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      answer.on("error", reject);
      answer.on("end", () => resolve({ status: answer.statusCode ?? 0, body: text }));
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}
