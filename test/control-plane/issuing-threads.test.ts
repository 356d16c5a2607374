import assert from "node:assert/strict";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { TOKEN_AUDIENCE } from "../../src/ca/jwt/token-issuer.ts";
import { uriName } from "../../src/ca/x509/extensions.ts";
import { testControlPlane } from "../support/control-plane.ts";
import { buildCsr, csrPem } from "../support/csr.ts";
import { threadsNamed } from "../support/threads.ts";
import { until } from "../support/until.ts";

const CART = { namespace: "shop", serviceAccount: "cart" };
const CART_ID = "spiffe://cluster.local/ns/shop/sa/cart";

test("certificates by request are made on a thread that comes with the first one and ends with the control plane", async (t) => {
  const mesh = await testControlPlane(t, {});
  assert.equal(threadsNamed("certificates"), 0, "the control plane's own certificate needs none");

  const token = await mesh.issuer.issue({ ...CART, audience: TOKEN_AUDIENCE, ttlMs: 60_000 });
  const asking = request({
    ...{ host: "localhost", port: mesh.ports.https, path: "/v1/certificates", method: "POST" },
    ca: readFileSync(mesh.rootPath),
    headers: { authorization: `Bearer ${token}`, "content-type": "application/x-pem-file" },
    agent: false,
  });
  asking.end(csrPem(buildCsr({ keys: generateKeyPairSync("ec", { namedCurve: "P-256" }), names: [uriName(CART_ID)] })));
  const [answer] = await once(asking, "response");
  const chain = await text(answer);
  assert.equal(answer.statusCode, 200, chain);
  assert.equal(new X509Certificate(chain).subjectAltName, `URI:${CART_ID}`);
  assert.equal(threadsNamed("certificates"), 1);

  await mesh.stop();
  await until("the thread has ended", () => threadsNamed("certificates") === 0);
});
