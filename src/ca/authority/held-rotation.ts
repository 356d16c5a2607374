import type { Logger } from "../../platform/log.ts";
import { activationObstacle, type RotationInput } from "./rotation.ts";

/** Behind the time that a new root is given to spread: a proxy that is merely slow has accepted it long before. */
const HELD_AFTER_MS = 5 * 60_000;

/**
 * Tells once of each prepared authority that proxies keep from signing by accepting no trust bundle: nothing but an
 * operator ends that before the active one is about to end.
 */
export function createHeldTeller(deps: {
  readonly log: Pick<Logger, "warn">;
  onHeld?(message: string): void;
}): (input: RotationInput) => void {
  let told: string | null = null;
  return (input) => {
    const { prepared } = input.state;
    if (prepared === null || prepared.id === told) return;
    if (input.now < prepared.preparedAt + input.policy.propagationMs + HELD_AFTER_MS) return;
    const obstacle = activationObstacle(input);
    // What time alone will end is no reason to call somebody.
    if (obstacle === null || obstacle.until !== null) return;
    told = prepared.id;
    const mending = input.facts.unheard === null ? "restart them" : "mend that";
    const way = `${mending}, or go on without them by trysail ca activate --force`;
    const message = `the mesh's authority ${prepared.id} cannot sign yet, because ${obstacle.reason}; ${way}`;
    deps.log.warn({ authority: prepared.id }, message);
    deps.onHeld?.(message);
  };
}
