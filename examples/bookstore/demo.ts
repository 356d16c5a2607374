/**
 * Drives the bookstore while `trysail dev` runs it, and prints what was measured: `make demo`. Every line is read from
 * the running processes, and a line that does not hold makes the exit code 1.
 */
import { buildChecks } from "./demo/checks.ts";
import { openMesh } from "./demo/mesh.ts";

const checks = buildChecks(openMesh(process.env));
const width = Math.max(...checks.map(({ title }) => title.length));
let failed = 0;
for (const { title, run } of checks) {
  const findings = await Promise.resolve(run()).catch((thrown: unknown) => ({
    holds: false,
    text: thrown instanceof Error ? thrown.message : String(thrown),
  }));
  for (const [index, { holds, text }] of [findings].flat().entries()) {
    console.log(`${holds ? "✓" : "✗"} ${(index === 0 ? title : "").padEnd(width)}  ${text}`);
    if (!holds) failed++;
  }
}
if (failed > 0) {
  console.error(`\n${failed} ${failed === 1 ? "line does" : "lines do"} not hold`);
  process.exitCode = 1;
}
