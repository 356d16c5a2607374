import { describeObject, type Finding, type Origin } from "../mesh/finding.ts";
import { printable } from "../platform/printable.ts";

/** What is shown of a finding, whoever made it. */
export type ShownFinding = Pick<Finding, "severity" | "message" | "object" | "origin">;

const GRAVEST_FIRST = ["error", "warning", "info"] as const;

/**
 * Findings as lines, the gravest first. What two parts found alike is one line, with the place that the earlier of
 * `parts` names. Places in `hidden`, which is not the user's, are left out.
 */
export function findingLines(parts: readonly (readonly ShownFinding[])[], hidden: string): string[] {
  const distinct = new Map<string, ShownFinding>();
  for (const finding of parts.flat()) {
    const { severity, message, object, origin } = finding;
    const about = object === undefined ? origin?.file : describeObject(object);
    const key = JSON.stringify([severity, message, about]);
    if (!distinct.has(key)) distinct.set(key, finding);
  }
  const all = [...distinct.values()];
  return GRAVEST_FIRST.flatMap((severity) => all.filter((finding) => finding.severity === severity)).map(
    ({ severity, message, object, origin }) => {
      const name = object === undefined ? "" : describeObject(object);
      const about = name === "" || message.includes(name) ? "" : `${name}: `;
      return printable(`${severity}: ${about}${message}${place(origin, hidden)}`);
    },
  );
}

function place(origin: Origin | undefined, hidden: string): string {
  return origin === undefined || origin.file.startsWith(`${hidden}/`) ? "" : ` (${origin.file}:${origin.document})`;
}

/** Tells one look from the next: which lines are new, and which are gone. */
export function createLineChanges(): (lines: readonly string[]) => { appeared: string[]; gone: string[] } {
  let before: ReadonlySet<string> = new Set();
  return (lines) => {
    const now = new Set(lines);
    const appeared = [...now].filter((line) => !before.has(line));
    const gone = [...before].filter((line) => !now.has(line));
    before = now;
    return { appeared, gone };
  };
}

/** What is said of a line that is gone. */
export function resolved(line: string): string {
  return `resolved: ${line}`;
}
