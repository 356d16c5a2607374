import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { type TestContext, test } from "node:test";
import { temporaryAuthority } from "../../test/support/authority.ts";
import { createManualClock } from "../../test/support/manual-clock.ts";
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
    assert.throws(
      () => verifyExternal(answer),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, "internal");
        assert.match(String(error.cause), problem);
        return true;
      },
    );
  });
}
