import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { type TestContext, test } from "node:test";
import { openssl } from "../../test/support/openssl.ts";
import { temporaryPath } from "../../test/support/state.ts";
import { systemClock } from "../platform/clock.ts";
import { createExternalIssuer } from "./external-issuer.ts";
import { parseCsr } from "./x509/csr.ts";
import { certificatesOf } from "./x509/pem-certificates.ts";

/** A signer that copies what a request says, as openssl's does; one in a cluster is in test/cluster/external-signer.test.ts. */

const identity = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" };
const CART = "spiffe://cluster.local/ns/shop/sa/cart";
const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
const DAY_MS = 86_400_000;

async function setUp(t: TestContext) {
  const folder = await temporaryPath(t, "signer");
  const file = (name: string) => `${folder}-${name}`;
  const [root, rootKey] = [file("root.pem"), file("root-key.pem")];
  await openssl("req", "-x509", ...KEY, "-keyout", rootKey, "-out", root, "-subj", "/O=Example/CN=root", "-days", "9");
  const rootsPem = await readFile(root, "utf8");
  const asked: string[] = [];
  const issuer = createExternalIssuer({
    async sign({ csrPem }) {
      asked.push(csrPem);
      const [csr, out] = [file("in.csr"), file("out.pem")];
      await writeFile(csr, csrPem);
      const by = ["-CA", root, "-CAkey", rootKey, "-days", "1", "-copy_extensions", "copy"];
      await openssl("x509", "-req", "-in", csr, ...by, "-out", out);
      return readFile(out, "utf8");
    },
    roots: { pem: () => rootsPem, onChange: () => () => {} },
    clock: systemClock,
    maxTtlMs: 2 * DAY_MS,
  });
  return {
    asked,
    async issue(subject: string, purposes = "serverAuth,clientAuth") {
      const csr = file("caller.csr");
      const names = ["-addext", `subjectAltName=critical,URI:${CART}`, "-addext", `extendedKeyUsage=${purposes}`];
      await openssl("req", "-new", ...KEY, "-keyout", file("key.pem"), "-out", csr, "-subj", subject, ...names);
      const { der, publicKey } = parseCsr(await readFile(csr, "utf8"));
      return issuer.issue({ identity, publicKey: publicKey.der, ttlMs: DAY_MS, csr: () => der });
    },
  };
}

for (const subject of ["/", "/CN=spiffe:\\/\\/cluster.local\\/ns\\/shop\\/sa\\/cart"]) {
  test(`a request with the subject ${subject} is signed elsewhere`, async (t) => {
    const { issue, asked } = await setUp(t);
    const [leaf] = certificatesOf((await issue(subject)).chainPem);
    assert.equal(leaf?.subjectAltName, `URI:${CART}`);
    assert.equal(asked.length, 1);
  });
}

for (const subject of ["/O=system:masters", "/CN=/OU=payments", "/CN=spiffe:\\/\\/cluster.local/O=system:masters"]) {
  test(`a request with the subject ${subject} never comes to the signer, which would copy it`, async (t) => {
    const { issue, asked } = await setUp(t);
    await assert.rejects(issue(subject), { reason: "csr-other-names", message: /a common name and nothing else/ });
    assert.deepEqual(asked, []);
  });
}

test("a purpose that a request adds, and the signer copies, is given to nobody", async (t) => {
  const { issue } = await setUp(t);
  await assert.rejects(issue("/", "serverAuth,clientAuth,codeSigning"), (error: Error) => {
    assert.match(String(error.cause), /it is for more than TLS servers and clients/);
    return true;
  });
});
