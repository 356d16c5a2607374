import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { envoyMissing, validateConfig } from "../support/envoy.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Runs the command line as a user would and answers what it printed. */
async function trysail(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, ["src/cli/trysail.ts", ...args], {
    cwd: root,
    maxBuffer: 64 * 1024 * 1024,
  });
  return stdout;
}

test("Envoy accepts what every workload of the bookstore would be sent", { skip: envoyMissing() }, async (t) => {
  for (const workload of ["page-v1", "details-v1", "reviews-v1", "reviews-v2", "reviews-v3", "ratings-v1"]) {
    await t.test(workload, async () => {
      const config = await trysail("translate", "-f", "examples/bookstore", "--proxy", `${workload}.bookstore`);
      assert.match(config, /outbound\|9080\|v3\|reviews\.bookstore\.svc\.cluster\.local/);
      assert.equal(await validateConfig(config), null);
    });
  }
});
