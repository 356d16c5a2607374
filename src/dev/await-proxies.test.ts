import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { serveDebugPages } from "../../test/support/debug-pages.ts";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { until } from "../../test/support/until.ts";
import { awaitProxies } from "./await-proxies.ts";

const mark = { kind: "ConfigMap", metadata: { name: "written", namespace: "system" } };
const READ = [{ kind: "ConfigMap", namespace: "system", name: "written" }];
const proxy = (pod: string, inSync: boolean) => ({ nodeId: `sidecar~10.0.0.1~${pod}~shop.svc.cluster.local`, inSync });

/** Waits for the proxies of two pods at a control plane whose pages say what the test says. */
async function setUp(t: TestContext) {
  const pages: Record<string, unknown> = { "/debug/objects": [], "/debug/syncz": [] };
  const url = await serveDebugPages(t, (path) => ({ status: 200, body: JSON.stringify(pages[path]) }));
  const clock = createManualClock(0);
  const stop = new AbortController();
  let behind: readonly string[] | undefined;
  awaitProxies({
    ...{ clock, mark, url, withinMs: 1_000, stop: stop.signal },
    token: async () => "admin",
    pods: () => ["a.shop", "b.shop"],
  }).then((pods) => {
    behind = pods;
  });
  const asked = () => until("the next look to be due, or the end", () => clock.pending() === 1 || behind !== undefined);
  await asked();
  return {
    pages,
    stop,
    behind: () => behind,
    async again(ms = 50) {
      clock.advance(ms);
      await asked();
    },
  };
}

test("proxies count only once what was written last is read, and then all of them", async (t) => {
  const { pages, behind, again } = await setUp(t);
  pages["/debug/syncz"] = [proxy("a.shop", true), proxy("b.shop", true)];
  await again();
  assert.equal(behind(), undefined);
  pages["/debug/objects"] = READ;
  pages["/debug/syncz"] = [proxy("a.shop", true), proxy("b.shop", false)];
  await again();
  assert.equal(behind(), undefined);
  pages["/debug/syncz"] = [proxy("b.shop", true), proxy("other.shop", false), proxy("a.shop", true)];
  await again();
  assert.deepEqual(behind(), []);
});

test("when the time is over, those that did not follow are told, also where nobody answers", async (t) => {
  const { pages, behind, again } = await setUp(t);
  pages["/debug/objects"] = READ;
  pages["/debug/syncz"] = [proxy("a.shop", true)];
  await again();
  assert.equal(behind(), undefined);
  await again(1_000);
  assert.deepEqual(behind(), ["b.shop"]);
  const other = await setUp(t);
  other.pages["/debug/objects"] = { error: "internal error" };
  await other.again(1_000);
  assert.deepEqual(other.behind(), ["a.shop", "b.shop"]);
});

test("a stop ends it", async (t) => {
  const { stop, behind, again } = await setUp(t);
  stop.abort();
  await again();
  assert.deepEqual(behind(), []);
});
