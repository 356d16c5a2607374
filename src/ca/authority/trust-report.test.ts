import assert from "node:assert/strict";
import { test } from "node:test";
import { TRUST, type TrustReport, trustOfAll } from "./trust-report.ts";

const report = (changed: Partial<TrustReport> = {}): TrustReport => ({
  ...{ roots: ["old", "new"], proxies: 2, acknowledged: 2, behind: [] },
  ...changed,
});

test("proxies of every replica count, and those of one that does not publish a root of ours have accepted nothing", () => {
  const slow = report({ proxies: 3, acknowledged: 2, behind: ["cart-1.shop"] });
  const ahead = report({ roots: ["newer", "new", "old"] });
  const unaware = report({ roots: ["old"], proxies: 4, acknowledged: 4 });
  assert.deepEqual(trustOfAll(report(), []), { proxies: 2, acknowledged: 2, behind: [] });
  assert.deepEqual(trustOfAll(report(), [slow, ahead]), { proxies: 7, acknowledged: 6, behind: ["cart-1.shop"] });
  assert.deepEqual(trustOfAll(report(), [unaware]), { proxies: 6, acknowledged: 2, behind: [] });
});

test("a report is read back as it was built, and nothing else is one", () => {
  assert.deepEqual(TRUST.parse(TRUST.build(report({ behind: ["cart-1.shop"] }))), report({ behind: ["cart-1.shop"] }));
  const odd = { ...report(), proxies: -1 };
  for (const text of ["", "[]", "{}", "null", JSON.stringify(odd), JSON.stringify({ ...report(), roots: "new" })]) {
    assert.equal(TRUST.parse(text), undefined, text);
  }
});
