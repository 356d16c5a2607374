import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

test("bench/bench.ts --help tells its options, those that docs/performance.md names among them", async () => {
  const program = fileURLToPath(new URL("../../bench/bench.ts", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [program, "--help"]);
  const guide = readFileSync(new URL("../../docs/performance.md", import.meta.url), "utf8");
  const named = [...guide.matchAll(/make bench BENCH="(--\w+)/g)].map(([, flag = ""]) => flag);
  assert.ok(named.length > 3);
  for (const flag of named) assert.match(stdout, new RegExp(`^ +${flag} `, "m"));
});
