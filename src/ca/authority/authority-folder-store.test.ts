import assert from "node:assert/strict";
import { mkdir, readdir, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { createManualClock } from "../../../test/support/manual-clock.ts";
import { temporaryState } from "../../../test/support/state.ts";
import { createLog } from "../../platform/log.ts";
import { systemRandom } from "../../platform/random.ts";
import { loadAuthority } from "./authority.ts";
import { createFolderStore } from "./authority-folder-store.ts";

test("a step removes what writes that were killed left over, with the keys in it, and nothing that may still be written", async (t) => {
  const state = await temporaryState(t);
  const store = createFolderStore({ state, trustDomain: "cluster.local" });
  const deps = { store, random: systemRandom, trustDomain: "cluster.local", log: createLog("silent") };
  const authority = await loadAuthority({ ...deps, clock: createManualClock(Date.now()) });
  const folder = join(state.path, "ca");
  const leave = async (name: string, ageMs: number) => {
    await mkdir(join(folder, name));
    await writeFile(join(folder, name, "new"), "a key");
    const at = new Date(Date.now() - ageMs);
    await utimes(join(folder, name), at, at);
  };
  await leave(".authority-2.json.a1B2c3", 3_600_000);
  await leave(".root-cert.pem.XyZ123", 3_600_000);
  await leave(".authority-2.json.d4E5f6", 0);
  await leave(".mine", 3_600_000);
  await authority.change((before) => ({ ...before, active: { ...before.active, longestLifeMs: 1 } }));
  const left = ["authority-2.json", "root-cert.pem", ".authority-2.json.d4E5f6", ".mine"];
  assert.deepEqual((await readdir(folder)).sort(), left.sort());
});
