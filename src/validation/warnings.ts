import type { Finding } from "../mesh/finding.ts";

/** The API server cuts short what is longer than this when there is much, and drops what does not fit into a header. */
const MAX_CHARACTERS = 256;
const MAX_WARNINGS = 15;

/** What `kubectl` prints behind `Warning:`, one line each; nothing where there is nothing to say. */
export function buildWarnings(findings: readonly Finding[]): { readonly warnings?: readonly string[] } {
  if (findings.length === 0) return {};
  const warnings = findings.slice(0, MAX_WARNINGS).map(({ message }) => printable(message));
  const more = findings.length - warnings.length;
  return { warnings: more === 0 ? warnings : [...warnings, `and ${more} more`] };
}

/** Warnings travel as HTTP headers, which hold no control characters. */
function printable(message: string): string {
  const line = message.replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]+/gu, " ");
  return line.length <= MAX_CHARACTERS ? line : `${line.slice(0, MAX_CHARACTERS - 1).toWellFormed()}…`;
}
