import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import { mkdir, readdir, readFile, stat } from "node:fs/promises";
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
import { type ServeProcess, serveProcess } from "../support/serve-process.ts";
import { temporaryPath } from "../support/state.ts";
import { until } from "../support/until.ts";

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

/** Everything that a snapshot of the process's heap has as text, strings in full. */
async function heapOf({ child }: ServeProcess, folder: string): Promise<string> {
  child.kill("SIGUSR2");
  const path = await until(
    "a snapshot of the heap",
    async () => (await readdir(folder)).find((name) => name.endsWith(".heapsnapshot")),
    { timeoutMs: 60_000 },
  );
  return until(
    "all of it",
    async () => {
      const file = join(folder, path);
      if ((await stat(file)).size === 0) return undefined;
      const text = await readFile(file, "latin1");
      return text.endsWith("]}\n") || text.endsWith("]}") ? text : undefined;
    },
    { timeoutMs: 60_000, everyMs: 500 },
  );
}

/** Private keys in the forms in which a text could hold them: parts of their PEM and DER, and the number of their JWK. */
function formsOf(pemOrJwk: string): Record<string, string> {
  const key = pemOrJwk.startsWith("{")
    ? createPrivateKey({ key: JSON.parse(pemOrJwk), format: "jwk" })
    : createPrivateKey(pemOrJwk);
  const der = key.export({ type: "pkcs8", format: "der" });
  const { d = "" } = key.export({ format: "jwk" });
  const scalar = Buffer.from(d, "base64url");
  // The number stands at 36 of the 138 bytes; a line of PEM ends at the 64th digit.
  assert.equal(der.subarray(36, 68).compare(scalar), 0);
  const base64 = der.toString("base64");
  return {
    "PEM, first line": base64.slice(48, 64),
    "PEM, second line": base64.slice(64, 90),
    "DER in hex": scalar.toString("hex"),
    "DER in capital hex": scalar.toString("hex").toUpperCase(),
    "base64 of the number": scalar.toString("base64").slice(0, 43),
    JWK: d,
    "latin1 of DER": JSON.stringify(scalar.toString("latin1")).slice(1, -1),
    "bytes one by one": scalar.join(","),
  };
}

test("no private key and no token is a string in the heap, behind issuing and a rotation, with streams still open", async (t) => {
  const folder = await temporaryPath(t, "heap");
  await mkdir(folder);
  const mesh = await serveProcess(t, {
    cwd: folder,
    nodeFlags: ["--heapsnapshot-signal=SIGUSR2", "--heap-snapshot-string-limit=1000000"],
  });
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
  await post(
    agent,
    "/v1/certificates",
    { ...bearer, "content-type": "text/plain" },
    pemText("CERTIFICATE REQUEST", csr),
  );
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
  const secrets: Record<string, Record<string, string>> = {
    "the token of an open stream": { signature: streamToken.split(".")[2] ?? "" },
    "the token of a request on an open connection": { signature: httpToken.split(".")[2] ?? "" },
    "the JWT-SVID": { signature: String(svid.token).split(".")[2] ?? "" },
    "the proxy's key": formsOf(key),
    "the issuer's key": formsOf(await jwk("issuer")),
    "the key of JWT-SVIDs": formsOf(await jwk("jwt")),
  };
  [...authorityKeys].forEach((pem, index) => {
    secrets[`key ${index + 1} of the authority`] = formsOf(pem);
  });

  const heap = await heapOf(mesh, folder);
  assert.ok(heap.includes("spiffe://cluster.local/ns/shop/sa/cart"), "the snapshot has strings");
  const found = Object.entries(secrets).flatMap(([title, forms]) =>
    Object.entries(forms).flatMap(([form, text]) => {
      assert.ok(text.length >= 16, `${title}: ${form}`);
      return heap.includes(text) ? [`${title}: ${form}`] : [];
    }),
  );
  assert.deepEqual(found, []);
  assert.ok(!heap.includes("BEGIN PRIVATE KEY-----\\n"), "some private key");
});
