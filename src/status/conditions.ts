import { describeObject, type Finding } from "../mesh/finding.ts";
import type { KnownObject } from "../mesh/kinds.ts";
import { printable } from "../platform/printable.ts";
import type { Distribution } from "./distribution.ts";
import { type Condition, upperCamel } from "./object-status.ts";

export interface ConditionsInput {
  /** The version that was looked at last; 0 for an object without versions. */
  readonly observed: number;
  /** The version that is in use, if any. */
  readonly object: KnownObject | undefined;
  readonly findings: readonly Finding[];
  readonly distribution: Distribution | undefined;
}

type Verdict = Pick<Condition, "status" | "reason" | "message">;

/** Kubernetes takes 32 KiB; nobody reads that much. */
const MAX_MESSAGE_LENGTH = 1024;

/** One condition of each type, in the order of `CONDITION_TYPES`. */
export function buildConditions(input: ConditionsInput): readonly Condition[] {
  const { observed, findings } = input;
  const errors = findings.filter(({ severity }) => severity === "error");
  const isUsed = errors.length === 0 && input.object !== undefined;
  const verdicts: readonly (readonly [Condition["type"], Verdict])[] = [
    ["Accepted", isUsed ? accepted(findings) : refused(errors)],
    ["ResolvedRefs", isUsed ? resolvedRefs(findings) : unknown],
    ["Conflicted", isUsed ? conflicted(findings) : unknown],
    ["Programmed", isUsed ? programmed(input.distribution) : notUsed(input)],
    ["Reconciled", isUsed ? reconciled(input.distribution) : notUsed(input)],
  ];
  return verdicts.map(([type, verdict]) => ({
    type,
    ...verdict,
    message: cut(verdict.message),
    ...(observed === 0 ? {} : { observedGeneration: observed }),
  }));
}

const unknown: Verdict = {
  status: "Unknown",
  reason: "NotAccepted",
  message: "not looked at, since it is not accepted",
};

function accepted(findings: readonly Finding[]): Verdict {
  const warnings = findings.filter(({ severity }) => severity === "warning");
  if (warnings.length === 0) return { status: "True", reason: "Accepted", message: "in use" };
  return { status: "True", reason: "AcceptedWithWarnings", message: `in use, but ${told(warnings)}` };
}

function refused(errors: readonly Finding[]): Verdict {
  const [first] = errors;
  if (first === undefined) return { status: "Unknown", reason: "Pending", message: "not read yet" };
  return { status: "False", reason: upperCamel(first.code), message: told(errors) };
}

function resolvedRefs(findings: readonly Finding[]): Verdict {
  const missing = findings.filter(({ code }) => code === "reference-missing");
  if (missing.length > 0) return { status: "False", reason: "ReferenceMissing", message: told(missing) };
  return { status: "True", reason: "ResolvedRefs", message: "all that it names exists" };
}

function conflicted(findings: readonly Finding[]): Verdict {
  const conflicts = findings.filter(({ code }) => code === "object-conflict");
  if (conflicts.length > 0) return { status: "True", reason: "ObjectConflict", message: told(conflicts) };
  return { status: "False", reason: "NoConflicts", message: "no other object says something else" };
}

function programmed(distribution: Distribution | undefined): Verdict {
  const { proxies = 0, refused: refusing = 0, refusal = null } = distribution ?? {};
  if (refusal === null) return { status: "True", reason: "Programmed", message: "no proxy refuses it" };
  const message = `${refusing} of ${countOf(proxies)} ${refusing === 1 ? "refuses" : "refuse"} it and ${refusing === 1 ? "keeps what it" : "keep what they"} had; ${refusal.proxy}: ${refusal.message}`;
  return { status: "False", reason: "ProxyRejected", message };
}

function reconciled(distribution: Distribution | undefined): Verdict {
  const { proxies = 0, reached = 0 } = distribution ?? {};
  const isThere = reached === proxies;
  return {
    status: isThere ? "True" : "False",
    reason: isThere ? "Reconciled" : "Pending",
    message: `${reached} of ${countOf(proxies)} up to date`,
  };
}

function notUsed({ object, distribution }: ConditionsInput): Verdict {
  if (object === undefined) return { status: "False", reason: "NotAccepted", message: "no version of it is in use" };
  const { generation } = object.metadata;
  const { proxies = 0, reached = 0 } = distribution ?? {};
  const which = generation === undefined ? "" : `, of generation ${generation},`;
  const message = `its last good version${which} is on ${reached} of ${countOf(proxies)}`;
  return { status: "False", reason: "NotAccepted", message };
}

function countOf(proxies: number): string {
  return `${proxies} ${proxies === 1 ? "proxy" : "proxies"}`;
}

/** The first of them in full, and how many more there are. */
function told(findings: readonly Finding[]): string {
  const [first] = findings;
  if (first === undefined) return "";
  const name = first.object === undefined ? "" : `${describeObject(first.object)}: `;
  const text = first.message.startsWith(name) ? first.message.slice(name.length) : first.message;
  return findings.length === 1 ? text : `${text} (and ${findings.length - 1} more)`;
}

function cut(message: string): string {
  const text = printable(message).trim();
  return text.length <= MAX_MESSAGE_LENGTH ? text : `${text.slice(0, MAX_MESSAGE_LENGTH - 1)}…`;
}
