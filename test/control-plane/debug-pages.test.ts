import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { testControlPlane } from "../support/control-plane.ts";

const guide = readFileSync(new URL("../../docs/debug-pages.md", import.meta.url), "utf8");

test("/debug lists the pages that docs/debug-pages.md does, each of which answers, and none without a token", async (t) => {
  const mesh = await testControlPlane(t, {});
  const ask = async (path: string, headers: Record<string, string> = {}) => {
    const response = await fetch(`http://127.0.0.1:${mesh.ports.http}${path}`, { headers });
    return [response.status, await response.json()] as const;
  };
  const token = await mesh.issuer.issue({ namespace: "trysail-system", serviceAccount: "default", ttlMs: 3_600_000 });
  const headers = { authorization: `Bearer ${token}` };
  const documented = [...guide.matchAll(/^\| `(\S+)` \|/gm)].map(([, page = ""]) => page);

  const [status, pages] = await ask("/debug", headers);
  assert.equal(status, 200);
  assert.ok(Array.isArray(pages));
  assert.deepEqual(pages.toSorted(), documented.toSorted());
  assert.deepEqual(await ask("/debug/", headers), [status, pages]);
  for (const page of documented) assert.deepEqual(await ask(page, headers), [200, []], page);
  for (const page of ["/debug", "/debug/", ...documented]) assert.equal((await ask(page))[0], 401, page);
});
