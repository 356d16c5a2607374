import type { TestContext } from "node:test";
import { type Authority, loadAuthority } from "../../src/ca/authority.ts";
import type { Clock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { temporaryState } from "./state.ts";

/** A real authority for `cluster.local` in a state folder of the test's own. */
export async function temporaryAuthority(t: TestContext, clock: Clock): Promise<Authority> {
  const state = await temporaryState(t);
  return loadAuthority({ state, clock, trustDomain: "cluster.local", log: createLog("silent") });
}
