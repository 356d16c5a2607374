import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { SecretSchema } from "../../src/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { createLog } from "../../src/platform/log.ts";
import { openAds, sidecarNode, TYPE_URL } from "../support/ads-client.ts";
import { type TestControlPlane, testControlPlane } from "../support/control-plane.ts";
import { formsOf } from "../support/heap.ts";
import { until } from "../support/until.ts";

const ACCOUNT = { namespace: "trysail-system", serviceAccount: "trysail", ttlMs: 60_000 };
const PAGES = ["ready", "debug/objects", "debug/syncz", "debug/unmeshed", "debug/findings", "ca"];

/** One POST; answers the body, whatever the status. */
function post(mesh: TestControlPlane, path: string, headers: Record<string, string>, body: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asking = request({
      ...{ host: "localhost", port: mesh.ports.https, ca: readFileSync(mesh.rootPath), method: "POST", path, headers },
      agent: false,
    });
    asking.on("error", reject);
    asking.on("response", (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      answer.on("end", () => resolve(text));
    });
    asking.end(body);
  });
}

test("no key and no token is on any page, in any answer of an error or in the log, however much is logged", async (t) => {
  const lines: string[] = [];
  const mesh = await testControlPlane(t, {}, {}, createLog("debug", { write: (line) => void lines.push(line) }));
  const token = await mesh.issuer.issue(ACCOUNT);
  const bearer = { authorization: `Bearer ${token}` };

  // A proxy's key, which passes through the control plane.
  const ads = openAds(t, { port: mesh.ports.grpc, rootPath: mesh.rootPath }, token);
  const node = sidecarNode("trysail-1", ACCOUNT.namespace, ACCOUNT.serviceAccount);
  ads.subscribe(node, TYPE_URL.secret, ["default", "ROOTCA"]);
  let proxyKey = "";
  while (proxyKey === "") {
    for (const { resource } of (await ads.response()).resources) {
      const { type } = fromBinary(SecretSchema, resource?.value ?? new Uint8Array());
      if (type.case !== "tlsCertificate" || type.value.privateKey?.specifier.case !== "inlineBytes") continue;
      proxyKey = Buffer.from(type.value.privateKey.specifier.value).toString();
    }
  }
  const [state = ""] = readdirSync(join(mesh.stateDir, "ca")).filter((name) => name.startsWith("authority-"));
  const authority = JSON.parse(readFileSync(join(mesh.stateDir, "ca", state), "utf8"));
  const jwk = (folder: string) => readFileSync(join(mesh.stateDir, folder, "key.jwk"), "utf8");
  const jsonType = { "content-type": "application/json" };
  const svid = JSON.parse(await post(mesh, "/v1/jwt-svids", { ...bearer, ...jsonType }, '{"audience":["ledger"]}'));

  // Secrets where others belong, so that refusals are about them.
  const answers = await Promise.all([
    post(mesh, "/v1/certificates", { ...bearer, "content-type": "text/plain" }, proxyKey),
    post(mesh, "/v1/certificates", { ...bearer, ...jsonType }, JSON.stringify({ csr: proxyKey })),
    post(mesh, "/v1/certificates", { ...bearer, ...jsonType }, JSON.stringify({ token, csr: "" })),
    post(mesh, "/v1/certificates", { ...bearer, ...jsonType }, `{"csr": "${token}`),
    post(mesh, `/v1/certificates?ttlSeconds=${token}`, { ...bearer, "content-type": "text/plain" }, ""),
    post(mesh, "/v1/certificates", { ...bearer, "content-type": token }, ""),
    post(mesh, "/v1/certificates", { authorization: `Bearer ${token}x`, "content-type": "text/plain" }, ""),
    post(mesh, "/v1/jwt-svids", { ...bearer, ...jsonType }, JSON.stringify({ audience: [], [token]: 1 })),
    post(mesh, "/inject", { "content-type": "application/json" }, JSON.stringify({ token })),
    post(mesh, `/v1/${"nothing"}`, bearer, token),
  ]);
  const pages = await Promise.all(
    PAGES.map(async (page) => {
      const answer = await fetch(`http://127.0.0.1:${mesh.ports.http}/${page}`, { headers: bearer });
      assert.equal(answer.status, 200, page);
      return answer.text();
    }),
  );
  pages.push(await (await fetch(`http://127.0.0.1:${mesh.ports.monitoring}/metrics`)).text());
  assert.match(pages.join(), /trysail-1/, "the pages show something");
  await until("the refusals to be logged", () => lines.filter((line) => line.includes("refused")).length >= 7);

  const seen = [...answers, ...pages, ...lines].join("\n");
  const secrets = new Map([
    ["the token", [token, token.split(".")[2] ?? token]],
    ["the JWT-SVID", [String(svid.token).split(".")[2] ?? ""]],
    ["the proxy's key", Object.values(formsOf(proxyKey))],
    ["the authority's key", Object.values(formsOf(authority.active.keyPem))],
    ["the issuer's key", Object.values(formsOf(jwk("issuer")))],
    ["the key of JWT-SVIDs", Object.values(formsOf(jwk("jwt")))],
  ]);
  for (const [title, forms] of secrets) {
    for (const form of forms) {
      assert.ok(form.length >= 16, title);
      assert.ok(!seen.includes(form), `${title} shows: ${seen.slice(seen.indexOf(form) - 200, seen.indexOf(form))}`);
    }
  }
  assert.doesNotMatch(seen, /PRIVATE KEY/);
});
