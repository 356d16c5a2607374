import type { Clock } from "../platform/clock.ts";
import { createLineChanges, resolved } from "./finding-lines.ts";

const SHOWN = 5;
const RESOLVED_FOR_MS = 15_000;

/** The part of the screen for findings: those that count most, then, for a while, those that were resolved. */
export function createFindingsView(clock: Clock): (findings: readonly string[]) => string[] {
  const changes = createLineChanges();
  const resolvedAt = new Map<string, number>();
  return (findings) => {
    for (const line of changes(findings).gone) resolvedAt.set(line, clock.now());
    for (const [line, time] of resolvedAt) {
      if (clock.now() - time >= RESOLVED_FOR_MS || findings.includes(line)) resolvedAt.delete(line);
    }
    const more = findings.length - SHOWN;
    return [
      ...findings.slice(0, SHOWN),
      ...(more > 0 ? [`and ${more} more findings at /debug/findings`] : []),
      ...[...resolvedAt.keys()].slice(-SHOWN).map(resolved),
    ];
  };
}
