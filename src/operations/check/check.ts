import type { Duplex } from "node:stream";
import type { KubernetesClient } from "../../kubernetes/client.ts";
import type { KubernetesObject } from "../../kubernetes/object.ts";
import type { Clock } from "../../platform/clock.ts";
import { messageOf, TrysailError } from "../../platform/errors.ts";

/** One line about a cluster: what was found and, where it is not right, what to do. */
export type Outcome =
  | { readonly status: "pass"; readonly message: string }
  | { readonly status: "warn" | "fail"; readonly message: string; readonly action: string };

/** What is asked of a cluster; one file each. */
export interface Check {
  /** Short, for the table. */
  readonly name: string;
  /** Whether it makes sense before Trysail is installed, behind that, or always. */
  readonly when: "before" | "after" | "always";
  run(target: CheckTarget): Promise<readonly Outcome[]>;
}

export interface CheckTarget {
  readonly client: Pick<KubernetesClient, "getDocument" | "serverTime" | "get" | "list" | "create">;
  readonly clock: Clock;
  readonly isInstalled: boolean;
  readonly systemNamespace: string;
  readonly revision: string;
  /** A connection to a port of a pod, through the API server. Rejects with `unavailable`. */
  openPort(address: { readonly namespace: string; readonly pod: string; readonly port: number }): Promise<Duplex>;
}

export type CheckLine = Outcome & { readonly check: string };

/**
 * Asks one check after the other. One that cannot be asked is a line too: a warning where the caller lacks a right,
 * else a failure. Rejects with `unavailable` or `unauthenticated` where no check can be asked at all.
 */
export async function runChecks(checks: readonly Check[], target: CheckTarget): Promise<readonly CheckLine[]> {
  await target.client.getDocument("/version");
  const lines: CheckLine[] = [];
  for (const { name, when, run } of checks) {
    if (when !== "always" && (when === "after") !== target.isInstalled) continue;
    const outcomes = await run(target).catch((error: unknown): readonly Outcome[] => [notAsked(error)]);
    lines.push(...outcomes.map((outcome) => ({ check: name, ...outcome })));
  }
  return lines;
}

function notAsked(error: unknown): Outcome {
  if (!(error instanceof TrysailError)) throw error;
  const message = `cannot be told: ${messageOf(error)}`;
  if (error.code === "permission-denied") {
    return { status: "warn", message, action: "run this as somebody who may, such as a cluster's administrator" };
  }
  return { status: "fail", message, action: "mend what the API server says, and run this again" };
}

/** Under which the control plane of a revision is installed. */
export function controlPlaneName(revision: string): string {
  return revision === "default" ? "trysail" : `trysail-${revision}`;
}

/** At most a few names, and how many more. */
export function namesIn(names: readonly string[]): string {
  const shown = names.slice(0, 5).join(", ");
  return names.length > 5 ? `${shown} and ${names.length - 5} more` : shown;
}

/** Null where what is read is not there. */
export async function orNull(reading: Promise<KubernetesObject>): Promise<KubernetesObject | null> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof TrysailError && error.code === "not-found") return null;
    throw error;
  }
}
