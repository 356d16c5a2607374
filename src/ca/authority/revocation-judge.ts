import { createSecureContext } from "node:tls";
import { clientTrustOptions } from "../../platform/client-trust.ts";
import type { Clock } from "../../platform/clock.ts";
import { messageOf, TrysailError } from "../../platform/errors.ts";
import type { Logger } from "../../platform/log.ts";
import { parseRevocationLists } from "../x509/revocation-list.ts";
import type { Authority } from "./authority.ts";
import type { NamedBytes } from "./authority-material.ts";
import { type AuthorityState, trustBundleOf } from "./authority-state.ts";
import { type ExpiryWarning, expiryWarning } from "./expiry-warning.ts";
import { assertCovers, readRevocationLists, validityOfLists } from "./revocation-lists.ts";

export interface RevocationStatus {
  /** When the first of the lists in force ends, in milliseconds since the epoch; null where none does. */
  readonly until: number | null;
  /** Why what was read last is not in force, or does not reach the proxies; null where all is well. */
  readonly problem: string | null;
}

export interface RevocationMetrics {
  /** `notAfter`, in milliseconds since the epoch, is null where no list is in force, or none of them ends. */
  revocationLists(lists: { readonly usable: boolean; readonly notAfter: number | null }): void;
}

export interface RevocationJudgeDeps {
  readonly authority: Pick<Authority, "state">;
  readonly clock: Pick<Clock, "now">;
  readonly log: Logger;
  readonly metrics?: RevocationMetrics | undefined;
  /** Why proxies cannot use lists at this time; null, or absent, where they can. */
  revocationObstacle?(): string | null;
  /** Called once for each warning. */
  onExpiring?(expiry: { readonly warning: ExpiryWarning; readonly message: string }): void;
}

/** Decides which revocation lists are in force: a bad one keeps the last good ones. */
export interface RevocationJudge {
  /**
   * Answers the lists (PEM) to put in force with the state that is wanted. Throws `failed-precondition` where there are
   * none with which that state could work.
   */
  choose(file: NamedBytes, wanted: AuthorityState): string;
  /** Null where no list is in force and none was offered. */
  status(): RevocationStatus | null;
  /** Tells, by metric and log, how the lists in force are. */
  report(): void;
}

export function createRevocationJudge(deps: RevocationJudgeDeps): RevocationJudge {
  const { log, clock } = deps;
  let fileProblem: string | null = null;
  let warned = "";

  const inForce = () => {
    const pem = deps.authority.state().revocationListsPem;
    return pem === "" ? null : { pem, validity: validityOfLists(parseRevocationLists(pem)) };
  };
  const problem = () => fileProblem ?? (inForce() === null ? null : (deps.revocationObstacle?.() ?? null));

  return {
    choose(file, wanted) {
      if (file.bytes === undefined) {
        fileProblem = null;
        return "";
      }
      try {
        const read = readRevocationLists(file, clock.now());
        assertCovers(read, wanted);
        // What else stands in the file is not for Envoy.
        const pem = read.lists.map((list) => list.pem).join("");
        if (pem !== deps.authority.state().revocationListsPem) assertOpensslReads(file.name, pem, wanted);
        fileProblem = null;
        return pem;
      } catch (error) {
        if (fileProblem !== messageOf(error)) {
          log.error({ err: error }, "the revocation lists cannot be used; those before stay in force");
        }
        fileProblem = messageOf(error);
        const { revocationListsPem } = deps.authority.state();
        if (revocationListsPem === "" || wanted === deps.authority.state()) return revocationListsPem;
        // What stays in force must fit what is wanted, or every proxy would refuse the new certificates.
        const name = `${fileProblem}; the list in force`;
        assertCovers({ name, lists: parseRevocationLists(revocationListsPem) }, wanted);
        return revocationListsPem;
      }
    },
    status() {
      const lists = inForce();
      if (lists === null && fileProblem === null) return null;
      return { until: finite(lists?.validity.notAfter), problem: problem() };
    },
    report() {
      const lists = inForce();
      deps.metrics?.revocationLists({ usable: problem() === null, notAfter: finite(lists?.validity.notAfter) });
      if (lists === null) return;
      const warning = expiryWarning(lists.validity, clock.now());
      const key = `${lists.validity.notAfter} ${warning}`;
      if (warning === null || warned === key) return;
      warned = key;
      const ends = new Date(lists.validity.notAfter).toISOString();
      const message =
        warning === "expired"
          ? `the mesh's revocation lists ended at ${ends}: proxies refuse each other`
          : `the mesh's revocation lists end at ${ends}, in less than ${warning}: proxies will refuse each other`;
      log.warn({ warning }, message);
      deps.onExpiring?.({ warning, message });
    },
  };
}

/** Throws where the control plane's own ports could not use them. */
function assertOpensslReads(name: string, revocationListsPem: string, wanted: AuthorityState): void {
  try {
    createSecureContext(clientTrustOptions({ rootsPem: trustBundleOf(wanted), revocationListsPem }));
  } catch (error) {
    throw new TrysailError("failed-precondition", `${name} cannot be read (${messageOf(error)})`);
  }
}

function finite(time: number | undefined): number | null {
  return time !== undefined && Number.isFinite(time) ? time : null;
}
