import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { openStateDir, type StateDir } from "../../src/platform/state-dir.ts";

/** A path in a folder of the test's own, which goes when the test does. Nothing is at the path yet. */
export async function temporaryPath(t: TestContext, name: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "trysail-test-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return join(folder, name);
}

export async function temporaryState(t: TestContext): Promise<StateDir> {
  return openStateDir(await temporaryPath(t, "state"));
}
