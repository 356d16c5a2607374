import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Folder } from "./folder.ts";
import { defaultFolderLimits } from "./limits.ts";

test("a file that came back while the folder is looked through stays, though its folder was listed without it", async (t) => {
  const root = await mkdtemp(join(tmpdir(), "trysail-folder-"));
  t.after(() => rm(root, { recursive: true }));
  const folder = new Folder({ root, limits: defaultFolderLimits, settleMs: 100, now: () => 0 });
  const [other, path] = [join(root, "sub", "other.yaml"), join(root, "sub", "route.yaml")];
  await mkdir(join(root, "sub"));
  for (const [file, name] of [
    [other, "other"],
    [path, "before"],
  ] as const) {
    await writeFile(file, `{apiVersion: v1, kind: Namespace, metadata: {name: ${name}}}`);
  }
  await folder.rescan(async () => {});

  await rm(path);
  let looks = 0;
  await folder.rescan(async () => {
    // The first time the root was listed, the second time the folder below it.
    if (++looks !== 2) return;
    await writeFile(path, "{apiVersion: v1, kind: Namespace, metadata: {name: after}}");
    await folder.read(path);
  });
  assert.equal(looks, 2);
  const names = folder.content().files.flatMap(({ path: file, gone }) => (gone ? [] : [file]));
  assert.deepEqual(names.sort(), [other, path]);
});
