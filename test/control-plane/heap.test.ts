import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { Agent, request } from "node:https";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { fromBinary } from "@bufbuild/protobuf";
import { SecretSchema } from "../../src/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { pemText } from "../../src/platform/pem.ts";
import { openAds, sidecarNode, TYPE_URL } from "../support/ads-client.ts";
import { buildCsr } from "../support/csr.ts";
import { formsOf, type SecretTexts, secretsIn, serveWithHeaps, signatureOf } from "../support/heap.ts";
import type { ServeProcess } from "../support/serve-process.ts";

const TRYSAIL = fileURLToPath(new URL("../../src/cli/trysail.ts", import.meta.url));
const ACCOUNT = { namespace: "shop", serviceAccount: "cart", ttlMs: 600_000 };

/** The private key that a proxy is sent, and the stream on which it comes, which stays open. */
async function proxyKey(t: TestContext, mesh: ServeProcess, token: string): Promise<string> {
  const ads = openAds(t, { port: mesh.ports.grpc, rootPath: mesh.rootPath }, token);
  ads.subscribe(sidecarNode("cart-1", ACCOUNT.namespace, ACCOUNT.serviceAccount), TYPE_URL.secret, ["default"]);
  for (;;) {
    for (const { resource } of (await ads.response()).resources) {
      const { type } = fromBinary(SecretSchema, resource?.value ?? new Uint8Array());
      if (type.case !== "tlsCertificate" || type.value.privateKey?.specifier.case !== "inlineBytes") continue;
      return Buffer.from(type.value.privateKey.specifier.value).toString();
    }
  }
}

/** One POST on a connection that stays; answers the body of a 200. */
function post(agent: Agent, path: string, headers: Record<string, string>, body: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asking = request({ agent, host: "localhost", method: "POST", path, headers });
    asking.on("error", reject);
    asking.on("response", (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      answer.on("end", () => (answer.statusCode === 200 ? resolve(text) : reject(new Error(text))));
    });
    asking.end(body);
  });
}

test("no private key and no token is a string in a heap, behind issuing and a rotation, with streams still open", async (t) => {
  const mesh = await serveWithHeaps(t);
  const agent = new Agent({
    keepAlive: true,
    maxSockets: 1,
    port: mesh.ports.https,
    ca: await readFile(mesh.rootPath),
  });
  t.after(() => agent.destroy());
  const [streamToken, httpToken] = await Promise.all([mesh.issuer.issue(ACCOUNT), mesh.issuer.issue(ACCOUNT)]);
  const bearer = { authorization: `Bearer ${httpToken}` };
  const authorityKeys = new Set<string>();
  const readAuthority = async () => {
    const [name = ""] = (await readdir(join(mesh.stateDir, "ca"))).filter((one) => one.startsWith("authority-"));
    const { active, prepared } = JSON.parse(await readFile(join(mesh.stateDir, "ca", name), "utf8"));
    for (const slot of [active, prepared]) if (slot !== null) authorityKeys.add(slot.keyPem);
  };

  const key = await proxyKey(t, mesh, streamToken);
  const csr = buildCsr({ keys: generateKeyPairSync("ec", { namedCurve: "P-256" }) });
  const certify = () =>
    post(agent, "/v1/certificates", { ...bearer, "content-type": "text/plain" }, pemText("CERTIFICATE REQUEST", csr));
  await certify();
  const jsonType = { "content-type": "application/json" };
  const svid = JSON.parse(await post(agent, "/v1/jwt-svids", { ...bearer, ...jsonType }, '{"audience":["ledger"]}'));
  await readAuthority();
  for (const step of [["prepare"], ["activate", "--force"], ["prepare"]]) {
    const where = ["--server", `http://127.0.0.1:${mesh.ports.http}`, "--state-dir", mesh.stateDir];
    await promisify(execFile)(process.execPath, [TRYSAIL, "ca", ...step, ...where]);
    await readAuthority();
  }
  assert.equal(authorityKeys.size, 3);
  const jwk = (name: string) => readFile(join(mesh.stateDir, name, "key.jwk"), "utf8");
  const authority = [...authorityKeys].map(
    (pem, index) => [`key ${index + 1} of the authority`, formsOf(pem)] as const,
  );
  const secrets: SecretTexts = {
    ...Object.fromEntries(authority),
    "the token of an open stream": signatureOf(streamToken),
    "the token of a request on an open connection": signatureOf(httpToken),
    "the JWT-SVID": signatureOf(svid.token),
    "the proxy's key": formsOf(key),
    "the issuer's key": formsOf(await jwk("issuer")),
    "the key of JWT-SVIDs": formsOf(await jwk("jwt")),
  };

  // So that the thread that issues is there, with the new key.
  await certify();
  const heaps = await mesh.heaps();
  assert.deepEqual([...heaps.keys()].sort(), ["main", "thread-1"], "one thread issues");
  // What does not go: that a snapshot has strings at all, and those of its own thread.
  assert.ok(heaps.get("main")?.includes("spiffe://cluster.local/ns/shop/sa/cart"));
  assert.ok(heaps.get("thread-1")?.includes("a thread that issues was not told by what"));
  for (const [thread, heap] of heaps) {
    assert.deepEqual(secretsIn(heap, secrets), [], thread);
    assert.ok(!heap.includes("BEGIN PRIVATE KEY-----\\n"), "some private key");
  }
});
