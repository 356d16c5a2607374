import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { lstat, readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { temporaryPath } from "../support/state.ts";

const run = promisify(execFile);
const SCRIPT = fileURLToPath(new URL("../../image/root.sh", import.meta.url));
/** Programs of one kind of machine: ELF, Mach-O and PE. */
const MACHINE_CODE = /^(7f454c46|cffaedfe|cafebabe|4d5a)/;

test("what the image holds is the same however often it is laid out, and is listed", {
  timeout: 600_000,
}, async (t) => {
  const [first, second] = await Promise.all([layOut(t, "077"), layOut(t, "022")]);
  const files = await filesOf(first);
  assert.deepEqual(await filesOf(second), files);

  await t.test("whoever runs it may read it, and write nothing", () => {
    for (const [path, { mode }] of files) {
      assert.equal(mode & 0o044, 0o044, path);
      assert.equal(mode & 0o022, path === LINK ? 0o022 : 0, path);
    }
  });

  await t.test("it runs by itself, and on any kind of machine", async () => {
    const { stdout } = await run(
      process.execPath,
      [join(first, "opt/trysail/dist/cli/trysail.js"), "serve", "--help"],
      {
        cwd: first,
      },
    );
    assert.match(stdout, /--state-dir/);
    assert.deepEqual(
      [...files].filter(([, { head }]) => MACHINE_CODE.test(head)).map(([path]) => path),
      [],
    );
  });

  await t.test("its list of packages has each that is there, and no others", async () => {
    const { packages }: { packages: Package[] } = JSON.parse(
      await readFile(join(first, "opt/trysail/sbom.spdx.json"), "utf8"),
    );
    const app = join(first, "opt/trysail");
    const there = [...files.keys()]
      .map((path) => /^opt\/trysail\/((?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+)\/package\.json$/.exec(path)?.[1])
      .filter((path) => path !== undefined)
      .toSorted();
    const listed = packages.map(({ packageFileName }) => packageFileName).filter((name) => name !== "");
    assert.deepEqual(listed.toSorted(), there);
    for (const { packageFileName, name, versionInfo } of packages) {
      const { name: itsName, version } = JSON.parse(await readFile(join(app, packageFileName, "package.json"), "utf8"));
      assert.deepEqual([itsName, version], [name, versionInfo]);
    }
    assert.ok(!existsSync(join(app, "node_modules/typescript")), "what only developers need");
  });
});

const LINK = "usr/local/bin/trysail";

interface Package {
  readonly name: string;
  readonly versionInfo: string;
  /** Where it is; empty for Trysail itself. */
  readonly packageFileName: string;
}

interface FileState {
  readonly mode: number;
  readonly hash: string;
  /** Its first bytes. */
  readonly head: string;
}

async function layOut(t: TestContext, umask: string): Promise<string> {
  const folder = await temporaryPath(t, `image-${umask}`);
  await run("bash", ["-c", 'umask "$1"; exec "$2" "$3"', "bash", umask, SCRIPT, folder]);
  return folder;
}

async function filesOf(root: string): Promise<ReadonlyMap<string, FileState>> {
  const paths = await readdir(root, { recursive: true });
  const states = paths.map(async (path): Promise<[string, FileState]> => {
    const at = join(root, path);
    const stat = await lstat(at);
    const content = stat.isSymbolicLink() ? await readlink(at) : stat.isFile() ? await readFile(at) : "";
    const hash = createHash("sha256").update(content).digest("hex");
    return [path, { mode: stat.mode & 0o777, hash, head: Buffer.from(content).subarray(0, 4).toString("hex") }];
  });
  return new Map((await Promise.all(states)).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
