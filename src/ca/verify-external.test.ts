import assert from "node:assert/strict";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { type TestContext, test } from "node:test";
import { temporaryAuthority } from "../../test/support/authority.ts";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { openssl } from "../../test/support/openssl.ts";
import { temporaryPath } from "../../test/support/state.ts";
import { type ExternalAnswer, verifyExternal } from "./verify-external.ts";

const START = Date.parse("2026-08-01T00:00:00Z");
const HOUR_MS = 3_600_000;
const identity = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" };
const CART = "spiffe://cluster.local/ns/shop/sa/cart";
const newKey = () =>
  generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ type: "spki", format: "der" });

/** What openssl's signer answers, good and bad, is tried in test/cluster/external-signer.test.ts. */
async function answerOf(t: TestContext): Promise<ExternalAnswer> {
  const { signer, rootCertificatePem } = await temporaryAuthority(t, createManualClock(START));
  const publicKey = newKey();
  const { chainPem } = await signer.sign({ identity, publicKey, notAfter: START + HOUR_MS });
  const asked = { publicKey, names: { uri: CART } };
  return { chainPem, rootsPem: rootCertificatePem, asked, now: START, longestLifeMs: HOUR_MS };
}

test("the certificate that was asked for is handed on, without the root that came with it", async (t) => {
  const answer = await answerOf(t);
  const issued = verifyExternal({ ...answer, chainPem: answer.chainPem + answer.rootsPem });
  assert.equal(issued.chainPem, answer.chainPem);
  assert.equal(issued.notAfter, START + HOUR_MS);
});

const changes: readonly [title: string, change: (answer: ExternalAnswer) => ExternalAnswer, problem: RegExp][] = [
  ["nothing", (answer) => ({ ...answer, chainPem: "" }), /no chain of certificates/],
  ["an endless chain", (answer) => ({ ...answer, chainPem: answer.chainPem.repeat(10) }), /no chain of certificates/],
  ["another key", ({ asked, ...answer }) => ({ ...answer, asked: { ...asked, publicKey: newKey() } }), /another key/],
  [
    "another name",
    ({ asked, ...answer }) => ({ ...answer, asked: { ...asked, names: { uri: `${CART}s` } } }),
    /its names are URI:\S+cart, not URI:\S+carts/,
  ],
  [
    "no host of the control plane's",
    ({ asked, ...answer }) => ({ ...answer, asked: { ...asked, names: { hosts: ["localhost"] } } }),
    /does not name localhost/,
  ],
  ["what is over", (answer) => ({ ...answer, now: START + HOUR_MS }), /not valid now/],
  ["what has not begun", (answer) => ({ ...answer, now: START - HOUR_MS }), /not valid now/],
  ["what lives too long", (answer) => ({ ...answer, longestLifeMs: HOUR_MS - 1000 }), /longer than the mesh allows/],
  ["what leads to no root", (answer) => ({ ...answer, rootsPem: "" }), /none of the roots/],
];
for (const [title, change, problem] of changes) {
  test(`${title} is handed to nobody`, async (t) => {
    const answer = change(await answerOf(t));
    assert.throws(() => verifyExternal(answer), isCausedBy(problem));
  });
}

/** Callers are told nothing of what is wrong. */
function isCausedBy(problem: RegExp) {
  return (error: Error & { code?: string }): boolean => {
    assert.equal(error.code, "internal");
    assert.match(String(error.cause), problem);
    return true;
  };
}

/** What a signer answers that writes such usages of the key into it. */
async function answerWithUsage(t: TestContext, usage: readonly string[]): Promise<ExternalAnswer> {
  const path = await temporaryPath(t, "made");
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  const [root, rootKey, csr, leaf] = ["root.pem", "root-key.pem", "csr.pem", "leaf.pem"].map(
    (name) => `${path}-${name}`,
  );
  if (root === undefined || rootKey === undefined || csr === undefined || leaf === undefined)
    throw new Error("no paths");
  await openssl("req", "-x509", ...key, "-keyout", rootKey, "-out", root, "-subj", "/CN=root", "-days", "1");
  await openssl("req", "-new", ...key, "-keyout", `${path}-key.pem`, "-out", csr, "-subj", "/CN=cart");
  const extensions = ["extendedKeyUsage=serverAuth,clientAuth", `subjectAltName=URI:${CART}`, ...usage];
  await writeFile(`${path}.ext`, extensions.join("\n"));
  await openssl(
    ...["x509", "-req", "-in", csr, "-CA", root, "-CAkey", rootKey, "-CAcreateserial", "-days", "1"],
    ...["-extfile", `${path}.ext`, "-out", leaf],
  );
  const chainPem = await readFile(leaf, "utf8");
  const publicKey = new X509Certificate(chainPem).publicKey.export({ type: "spki", format: "der" });
  const asked = { publicKey, names: { uri: CART } };
  return { chainPem, rootsPem: await readFile(root, "utf8"), asked, now: Date.now(), longestLifeMs: 48 * HOUR_MS };
}

const usages: readonly [usage: string[], problem: RegExp | null][] = [
  [["keyUsage=critical,digitalSignature,keyEncipherment"], null],
  [[], null],
  [["keyUsage=critical,keyEncipherment"], /may not sign handshakes/],
  [["keyUsage=decipherOnly"], /may not sign handshakes/],
  [["keyUsage=critical,digitalSignature,keyCertSign"], /may sign as an authority's does/],
  [["keyUsage=critical,digitalSignature,cRLSign"], /may sign as an authority's does/],
];
for (const [usage, problem] of usages) {
  test(`a certificate with ${usage.join() || "no keyUsage"} is ${problem === null ? "handed on" : "handed to nobody"}`, async (t) => {
    const answer = await answerWithUsage(t, usage);
    if (problem === null) assert.equal(verifyExternal(answer).chainPem, answer.chainPem);
    else assert.throws(() => verifyExternal(answer), isCausedBy(problem));
  });
}
