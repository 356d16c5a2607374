import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";

/**
 * Asserts that a page says between its markers (`<!-- begin: from the schemas -->`) what was generated for it. Where the
 * test's file is run with `--update`, that is written there instead.
 */
export function assertGenerated(page: URL, source: string, generated: string): void {
  const [begin, end] = [`<!-- begin: ${source} -->\n`, `<!-- end: ${source} -->\n`];
  const text = readFileSync(page, "utf8");
  const [from, to] = [text.indexOf(begin) + begin.length, text.indexOf(end)];
  assert.ok(from >= begin.length && to >= from, "the page has lost its markers");
  if (process.argv.includes("--update")) writeFileSync(page, text.slice(0, from) + generated + text.slice(to));
  else assert.equal(text.slice(from, to), generated);
}
