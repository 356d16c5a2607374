import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStateDir, type StateDir } from "../../src/platform/state-dir.ts";
import type { Cleanup } from "./cleanup.ts";

/** A path in a folder of the test's own, which goes when the test does. Nothing is at the path yet. */
export async function temporaryPath(t: Cleanup, name: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "trysail-test-"));
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  return join(folder, name);
}

export async function temporaryState(t: Cleanup): Promise<StateDir> {
  return openStateDir(await temporaryPath(t, "state"));
}
