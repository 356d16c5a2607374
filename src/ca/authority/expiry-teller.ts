import type { Logger } from "../../platform/log.ts";
import { validityOf } from "./authority-material.ts";
import type { Slot } from "./authority-state.ts";
import { type ExpiryWarning, expiryWarning } from "./expiry-warning.ts";

export interface Expiry {
  readonly warning: ExpiryWarning;
  readonly message: string;
}

/** Tells once of each warning that is due of what signs; `now` is in milliseconds since the epoch. */
export function createExpiryTeller(deps: {
  readonly log: Pick<Logger, "warn">;
  onExpiring?(expiry: Expiry): void;
}): (active: Slot, now: number) => void {
  let told: string | null = null;
  return (active, now) => {
    const validity = validityOf(active);
    const warning = expiryWarning(validity, now);
    const key = `${active.id} ${warning}`;
    if (warning === null || told === key) return;
    told = key;
    const ends = new Date(validity.notAfter).toISOString();
    const message =
      warning === "expired"
        ? `the mesh's authority ${active.id} expired at ${ends}: no certificate can be issued`
        : `the mesh's authority ${active.id} expires at ${ends}, in less than ${warning}`;
    deps.log.warn({ authority: active.id, warning }, message);
    deps.onExpiring?.({ warning, message });
  };
}
