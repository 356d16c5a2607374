import { loadAuthority } from "../ca/authority/authority.ts";
import { createFolderStore } from "../ca/authority/authority-folder-store.ts";
import { type AuthorityStatus, slotStatuses } from "../ca/authority/authority-status.ts";
import { createRotator } from "../ca/authority/rotator.ts";
import { systemClock } from "../platform/clock.ts";
import { TrysailError } from "../platform/errors.ts";
import { createLog } from "../platform/log.ts";
import { systemRandom } from "../platform/random.ts";
import { openExistingStateDir } from "../platform/state-dir.ts";

/** What is asked of the authority: its status, or a step of its rotation. */
export type CaRequest =
  | { readonly kind: "status" | "prepare" }
  | { readonly kind: "activate" | "retire"; readonly force: boolean; readonly id?: string };

/** Answers from a state folder, and changes it, with no control plane in between; one that runs follows it. */
export async function offlineAuthority(
  { stateDir, trustDomain }: { readonly stateDir: string; readonly trustDomain: string },
  request: CaRequest,
): Promise<AuthorityStatus> {
  // Only an operator takes steps here, and nothing is waited for.
  const policy = { prepareAtShare: 0.5, propagationMs: 0, reconnectMs: 0 };
  const [clock, random, log] = [systemClock, systemRandom, createLog("silent")];
  const store = createFolderStore({ state: await openExistingStateDir(stateDir), trustDomain });
  if ((await store.load()) === undefined) {
    throw new TrysailError("not-found", `no authority in ${store.name}: trysail serve makes it`);
  }
  const authority = await loadAuthority({ store, clock, random, trustDomain, log, keepsExpired: true });
  const rotator = createRotator({
    ...{ authority, source: null, trustDomain, clock, random, log, policy },
    facts: () => ({ observedSince: clock.now(), unheard: null, proxies: 0, acknowledged: 0, behind: [] }),
    pollMs: 0,
    replicaLagMs: 0,
  });
  if (request.kind === "prepare") {
    if (authority.state().active.origin === "plugged-in") {
      const why =
        "the authority is plugged in, and where it is only the control plane knows: ask it, without --offline";
      throw new TrysailError("failed-precondition", why);
    }
    await rotator.prepare();
  }
  if (request.kind === "activate") {
    if (!request.force) {
      const why = "without the control plane nobody knows which proxies trust it (--force activates all the same)";
      throw new TrysailError("failed-precondition", why);
    }
    await rotator.activate(request);
  }
  if (request.kind === "retire") await rotator.retire(request);
  return {
    slots: slotStatuses(authority.state()),
    facts: null,
    next: null,
    sourceProblem: null,
    revocationLists: null,
  };
}
