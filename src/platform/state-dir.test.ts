import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, mkdir, readdir, stat, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { temporaryPath, temporaryState } from "../../test/support/state.ts";
import { openStateDir } from "./state-dir.ts";

const failedPrecondition = { name: "TrysailError", code: "failed-precondition" };

test("a missing state folder is made, for its owner alone", async (t) => {
  const path = await temporaryPath(t, "deep/state");
  await openStateDir(path);
  assert.equal((await stat(path)).mode & 0o777, 0o700);
});

for (const mode of [0o755, 0o750, 0o701, 0o720]) {
  test(`a state folder of mode ${mode.toString(8)} is refused, with the way out`, async (t) => {
    const path = await temporaryPath(t, "state");
    await mkdir(path);
    await chmod(path, mode);
    await assert.rejects(openStateDir(path), {
      ...failedPrecondition,
      message: new RegExp(`${path} .*mode 0${mode.toString(8)}.*chmod 700 ${path}`),
    });
    assert.equal((await stat(path)).mode & 0o777, mode, "it is not mended silently");
  });
}

test("a state folder of another user is refused", async (t) => {
  if (process.getuid?.() !== 0) return t.skip("only root can give a folder away");
  const path = await temporaryPath(t, "state");
  await mkdir(path, { mode: 0o700 });
  await chown(path, 1, 1);
  await assert.rejects(openStateDir(path), { ...failedPrecondition, message: /belongs to user 1/ });
});

test("a file in the folder's place is refused", async (t) => {
  const path = await temporaryPath(t, "state");
  await writeFile(path, "");
  await assert.rejects(openStateDir(path), { ...failedPrecondition, message: new RegExp(path) });
});

test("what was written is read back, with its mode, and replaced as a whole", async (t) => {
  const state = await temporaryState(t);
  assert.equal(await state.readState("a/b.txt"), undefined);
  await state.writeStateAtomically("a/b.txt", "a long first version", 0o644);
  await state.writeStateAtomically("a/b.txt", "second", 0o600);
  assert.equal(String(await state.readState("a/b.txt")), "second");
  assert.equal((await stat(`${state.path}/a/b.txt`)).mode & 0o777, 0o600);
  assert.deepEqual(await readdir(`${state.path}/a`), ["b.txt"], "no temporary file stays");
});

for (const name of ["../outside", "a/../../outside", "/etc/passwd", ".hidden", "a//b", ""]) {
  test(`the name "${name}" cannot leave the folder`, async (t) => {
    const state = await temporaryState(t);
    await assert.rejects(async () => state.readState(name), { code: "internal" });
    await assert.rejects(async () => state.writeStateAtomically(name, "x", 0o600), { code: "internal" });
    await assert.rejects(async () => state.createStateFile(name, "x", 0o600), { code: "internal" });
    await assert.rejects(async () => state.listState(name), { code: "internal" });
    await assert.rejects(async () => state.removeState(name), { code: "internal" });
  });
}

test("of many that create one folder at once, exactly one wins and all read its files", async (t) => {
  const state = await temporaryState(t);
  const won = await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      state.createStateFolder("pair", [
        { name: "one", bytes: `one ${index}`, mode: 0o600 },
        { name: "two", bytes: `two ${index}`, mode: 0o600 },
      ]),
    ),
  );
  assert.equal(won.filter(Boolean).length, 1);
  const winner = won.indexOf(true);
  assert.equal(String(await state.readState("pair/one")), `one ${winner}`);
  assert.equal(String(await state.readState("pair/two")), `two ${winner}`);
  assert.deepEqual(await readdir(state.path), ["pair"], "the losers leave nothing");
});

test("of many that create one file at once, exactly one wins, and it is there whole", async (t) => {
  const state = await temporaryState(t);
  const won = await Promise.all(
    Array.from({ length: 20 }, (_, index) => state.createStateFile("a/one.json", `one ${index}`, 0o600)),
  );
  assert.equal(won.filter(Boolean).length, 1);
  assert.equal(String(await state.readState("a/one.json")), `one ${won.indexOf(true)}`);
  assert.equal((await stat(`${state.path}/a/one.json`)).mode & 0o777, 0o600);
  assert.deepEqual(await readdir(`${state.path}/a`), ["one.json"], "the losers leave nothing");
});

test("what is listed is what is there, in order, and what is removed is gone", async (t) => {
  const state = await temporaryState(t);
  assert.deepEqual(await state.listState("a"), []);
  for (const name of ["b", "c", "a"]) await state.writeStateAtomically(`a/${name}`, name, 0o600);
  await mkdir(`${state.path}/a/.left-over`);
  assert.deepEqual(await state.listState("a"), ["a", "b", "c"]);
  await state.removeState("a/b");
  await state.removeState("a/b");
  assert.deepEqual(await state.listState("a"), ["a", "c"]);
});

test("a folder that has files already is left alone", async (t) => {
  const state = await temporaryState(t);
  await state.writeStateAtomically("pair/other", "other", 0o600);
  assert.equal(await state.createStateFolder("pair", [{ name: "one", bytes: "1", mode: 0o600 }]), false);
  assert.deepEqual(await readdir(`${state.path}/pair`), ["other"]);
});

test("a writer killed in mid-write leaves one version or the other, whole", async (t) => {
  const state = await temporaryState(t);
  const size = 4 * 1024 * 1024;
  const program = `
    import { openStateDir } from ${JSON.stringify(import.meta.resolve("./state-dir.ts"))};
    const state = await openStateDir(${JSON.stringify(state.path)});
    for (let turn = 0; ; turn++) {
      await state.writeStateAtomically("big", Buffer.alloc(${size}, turn % 2 ? "a" : "b"), 0o600);
      process.stdout.write(".");
    }`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => child.kill("SIGKILL"));
  await once(child.stdout, "data");
  // Behind the first whole write the child is nearly always inside another one.
  child.kill("SIGKILL");
  await once(child, "close");
  const found = await state.readState("big");
  assert.equal(found?.length, size);
  const first = String.fromCharCode(found[0] ?? 0);
  assert.ok(found.equals(Buffer.alloc(size, first)), "not a mix of two versions");
});
