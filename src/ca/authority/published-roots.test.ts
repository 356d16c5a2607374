import assert from "node:assert/strict";
import { test } from "node:test";
import { createManualClock } from "../../../test/support/manual-clock.ts";
import { temporaryState } from "../../../test/support/state.ts";
import { until } from "../../../test/support/until.ts";
import { createLog } from "../../platform/log.ts";
import { systemRandom as random } from "../../platform/random.ts";
import { type AuthorityDeps, loadAuthority } from "./authority.ts";
import { createFolderStore } from "./authority-folder-store.ts";
import { missingKey } from "./published-roots.ts";
import { createSelfSignedRoot } from "./self-signed-root.ts";

const START = Date.parse("2026-08-01T00:00:00Z");
const DAY_MS = 86_400_000;
const trustDomain = "cluster.local";
const rootFor = (days: number) =>
  createSelfSignedRoot({ clock: createManualClock(START), random, trustDomain, lifeMs: days * DAY_MS });
const [one, two, short] = [rootFor(100), rootFor(100), rootFor(1)].map(({ certificatePem }) => certificatePem);

test("a mesh keeps every valid root that its peers were told of", async (t) => {
  const cases = [
    { name: "nothing was published", published: "", roots: one, missing: null },
    { name: "the same", published: one, roots: one, missing: null },
    { name: "one of those that begin", published: one, roots: `${two}${one}`, missing: null },
    { name: "another one", published: one, roots: two, missing: /^the map has the mesh trust O=cluster\.local/ },
    {
      name: "one more",
      published: `${one}${two}`,
      roots: two,
      missing: /^the map has the mesh trust O=cluster\.local/,
    },
    { name: "one that is over", published: short, roots: two, missing: null },
    {
      name: "what is no certificate",
      published: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
      roots: one,
      missing: /^it cannot be told what the map says \(/,
    },
  ];
  for (const { name, published = "", roots = "", missing } of cases) {
    await t.test(name, async () => {
      const source = {
        name: "the map",
        read: async () => ({ name: "the map", rootsPem: published }),
        onKeyMissing() {},
      };
      const reason = await missingKey(source, roots, START + 2 * DAY_MS);
      if (missing === null) assert.equal(reason, null);
      else assert.match(reason ?? "", missing);
    });
  }
});

test("a start waits for the authority of a mesh that has roots, and is told once of each reason", async (t) => {
  const clock = createManualClock(START);
  const store = createFolderStore({ state: await temporaryState(t), trustDomain });
  const kept = await loadAuthority({ ...{ store, clock, random, trustDomain }, log: createLog("silent") });
  const reasons: string[] = [];
  let where: "missing" | "emptied" | "back" = "missing";
  const deps: AuthorityDeps = {
    ...{ clock, random, trustDomain, log: createLog("silent") },
    store: {
      name: "the store",
      async load() {
        if (where === "missing") return undefined;
        return where === "emptied" ? { state: null, revision: "2" } : { state: kept.state(), revision: "3" };
      },
      save: () => assert.fail("nothing is to be made"),
    },
    published: {
      name: "the map",
      read: async () => ({ name: "the map", rootsPem: kept.trustBundlePem() }),
      onKeyMissing: (reason) => void reasons.push(reason),
    },
  };
  const starting = loadAuthority(deps);
  await until("the first look", () => clock.pending() === 1);
  where = "emptied";
  clock.advance(1000);
  await until("the second look", () => clock.pending() === 1);
  where = "back";
  clock.advance(1000);
  assert.equal((await starting).trustBundlePem(), kept.trustBundlePem());
  assert.equal(reasons.length, 1);
  assert.match(reasons[0] ?? "", /^the store has no authority in it, and the map has the mesh trust O=cluster\.local/);
});
