import assert from "node:assert/strict";
import { chmod, chown, mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { type TestContext, test } from "node:test";
import { createManualClock } from "../../test/support/manual-clock.ts";
import type { KnownObject } from "../mesh/kinds.ts";
import type { ObjectSet } from "../mesh/object-set.ts";
import { systemClock } from "../platform/clock.ts";
import { createLog } from "../platform/log.ts";
import { createFileSource, type FileSourceDeps } from "./file-source.ts";
import type { Source } from "./source.ts";

const log = createLog("silent");

async function tempFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "trysail-files-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A started source; by default it never polls, so that what it notices it noticed by an event. */
async function started(t: TestContext, dirs: string[], options: Partial<FileSourceDeps> = {}): Promise<Source> {
  const source = createFileSource({ dirs, clock: systemClock, log, pollMs: 3_600_000, ...options });
  t.after(() => source.stop());
  await source.start();
  return source;
}

/** The first set, from now on, for which `holds` is true. */
async function until(source: Source, holds: (set: ObjectSet) => boolean): Promise<ObjectSet> {
  const { promise, resolve, reject } = Promise.withResolvers<ObjectSet>();
  const show = (set: ObjectSet) =>
    JSON.stringify({ names: namesOf(set), findings: set.findings.map(({ message }) => message) });
  const timer = setTimeout(() => reject(new Error(`still ${show(source.current())}`)), 10_000);
  const check = (set: ObjectSet) => holds(set) && resolve(set);
  const off = source.onChange(check);
  check(source.current());
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    off();
  }
}

/** Every set from now on, for what must not happen in between. */
function recorded(t: TestContext, source: Source): ObjectSet[] {
  const sets: ObjectSet[] = [];
  t.after(source.onChange((set) => sets.push(set)));
  return sets;
}

function namesOf({ objects }: ObjectSet): string[] {
  return objects.map(({ metadata }) => metadata.name);
}

function codesOf({ findings }: ObjectSet): string[] {
  return findings.map(({ code }) => code);
}

function named({ objects }: ObjectSet, name: string): KnownObject | undefined {
  return objects.find(({ metadata }) => metadata.name === name);
}

const service = (name: string, port: unknown = 80) =>
  `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\nspec: {ports: [{port: ${port}}]}\n`;

async function replace(file: string, text: string): Promise<void> {
  await writeFile(`${file}.tmp`, text);
  await rename(`${file}.tmp`, file);
}

test("a folder is read to the bottom, sorted; hidden entries, other files and images.yaml at its top are not", async (t) => {
  const dir = await tempFolder(t);
  await mkdir(join(dir, "sub", "deep"), { recursive: true });
  await mkdir(join(dir, ".git"));
  await writeFile(join(dir, "z.yaml"), service("a"));
  await writeFile(join(dir, "sub", "b.yml"), service("b"));
  await writeFile(
    join(dir, "sub", "deep", "c.json"),
    JSON.stringify({ apiVersion: "v1", kind: "Namespace", metadata: { name: "c" } }),
  );
  await writeFile(join(dir, "sub", "images.yaml"), service("images-below"));
  for (const unread of ["images.yaml", ".hidden.yaml", "notes.txt", "z.yaml~", join(".git", "x.yaml")]) {
    await writeFile(join(dir, unread), service("unread"));
  }
  const source = await started(t, [dir]);
  assert.deepEqual(namesOf(source.current()), ["c", "a", "b", "images-below"]);
  assert.deepEqual(source.current().findings, []);
});

test("a folder that does not exist is named at the start", async (t) => {
  const dir = await tempFolder(t);
  await writeFile(join(dir, "file"), "");
  for (const path of [join(dir, "none"), join(dir, "file")]) {
    const source = createFileSource({ dirs: [dir, path], clock: systemClock, log });
    await assert.rejects(
      source.start(),
      (error: Error) => "code" in error && error.code === "not-found" && error.message.includes(path),
    );
  }
});

test("changes, new files, new folders and removals are followed, and what did not change keeps its identity", async (t) => {
  const dir = await tempFolder(t);
  await writeFile(join(dir, "a.yaml"), `${service("a")}---\n${service("b")}`);
  const source = await started(t, [dir]);
  const first = source.current();

  await replace(join(dir, "a.yaml"), `${service("a", 81)}---\n${service("b")}`);
  const second = await until(source, (set) => named(set, "a") !== named(first, "a"));
  assert.equal(named(second, "b"), named(first, "b"));

  await mkdir(join(dir, "new", "deeper"), { recursive: true });
  await writeFile(join(dir, "new", "deeper", "c.yaml"), service("c"));
  await until(source, (set) => namesOf(set).join() === "a,b,c");
  await replace(join(dir, "new", "deeper", "c.yaml"), service("d"));
  await until(source, (set) => namesOf(set).join() === "a,b,d");
  await replace(join(dir, "a.yaml"), service("b"));
  await until(source, (set) => namesOf(set).join() === "b,d");
  await rm(join(dir, "new"), { recursive: true });
  await until(source, (set) => namesOf(set).join() === "b");
  await rm(join(dir, "a.yaml"));
  await until(source, (set) => namesOf(set).length === 0);
});

test("a file written again with the same content changes nothing", async (t) => {
  const dir = await tempFolder(t);
  await writeFile(join(dir, "a.yaml"), service("a"));
  const source = await started(t, [dir]);
  const sets = recorded(t, source);
  await replace(join(dir, "a.yaml"), service("a"));
  await writeFile(join(dir, "b.yaml"), service("b"));
  await until(source, (set) => namesOf(set).join() === "a,b");
  assert.equal(sets.length, 1);
});

const breakings: [what: string, text: string, code: string][] = [
  ["no longer fits its schema", service("a", "eighty"), "schema-invalid"],
  ["is no YAML any more", "apiVersion: v1\nkind: Service\nmetadata: {name: a\nspec: :", "document-malformed"],
  ["has grown to 5 MB", `${service("a")}# ${"x".repeat(5_000_000)}`, "document-too-large"],
  ["has lost its kind", "apiVersion: v1\nkin: Service\nmetadata: {name: a}\n", "not-an-object"],
  ["has a kind that is misspelt", service("a").replace("Service", "Sevrice"), "kind-unsupported"],
];

for (const [what, text, code] of breakings) {
  test(`the last good version stays while a document ${what}, and goes with its document`, async (t) => {
    const dir = await tempFolder(t);
    const file = join(dir, "a.yaml");
    await writeFile(file, `${service("a")}---\n${service("b")}`);
    const source = await started(t, [dir]);
    const good = named(source.current(), "a");
    const sets = recorded(t, source);

    await replace(file, `${text}\n---\n${service("b", 81)}`);
    const broken = await until(source, (set) => codesOf(set).includes(code));
    assert.equal(named(broken, "a"), good);
    assert.deepEqual(
      broken.findings.map(({ severity }) => severity),
      ["error"],
    );
    assert.match(broken.findings[0]?.message ?? "", /last good version.* stays in use/);

    // Broken in another way, and in another place: it still stays.
    await replace(file, `${service("b", 82)}---\n${text}\n#`);
    const still = await until(source, (set) => named(set, "b") !== named(broken, "b") && codesOf(set).includes(code));
    assert.equal(named(still, "a"), good);

    await replace(file, `${service("b", 82)}---\n${service("a")}`);
    await until(source, ({ findings }) => findings.length === 0);
    assert.ok(sets.every((set) => namesOf(set).join() === "a,b"));
    await replace(file, service("b", 82));
    await until(source, (set) => namesOf(set).join() === "b");
  });
}

test("a document that was broken all along keeps no other object from being removed", async (t) => {
  const dir = await tempFolder(t);
  const file = join(dir, "a.yaml");
  await writeFile(file, `a: b: c\n---\n${service("a")}---\n${service("b")}`);
  const source = await started(t, [dir]);
  assert.deepEqual(namesOf(source.current()), ["a", "b"]);
  await replace(file, `a: b: c\n---\n${service("b")}`);
  await until(source, (set) => namesOf(set).join() === "b");
});

test("a file that is no text any more keeps its objects, and says so", async (t) => {
  const dir = await tempFolder(t);
  await writeFile(join(dir, "a.yaml"), service("a"));
  const source = await started(t, [dir]);
  const good = named(source.current(), "a");
  await writeFile(join(dir, "a.yaml.tmp"), Buffer.from([0xff, 0xfe, 0x61, 0x00]));
  await rename(join(dir, "a.yaml.tmp"), join(dir, "a.yaml"));
  const broken = await until(source, ({ findings }) => findings.length > 0);
  assert.match(broken.findings[0]?.message ?? "", /not UTF-8.*Service default\/a stays in use/);
  assert.equal(named(broken, "a"), good);
  await replace(join(dir, "a.yaml"), service("a"));
  const again = await until(source, ({ findings }) => findings.length === 0);
  assert.equal(named(again, "a"), good);
});

test("caps on files hold: one too large and too many of them are findings, the rest is served", async (t) => {
  const dir = await tempFolder(t);
  await writeFile(join(dir, "a.yaml"), service("a"));
  await writeFile(join(dir, "b.yaml"), `${service("b")}#${"x".repeat(1000)}`);
  await writeFile(join(dir, "c.yaml"), service("c"));
  const limits = { documentLength: 10_000, depth: 64, fileBytes: 500, files: 2 };
  const source = await started(t, [dir], { limits });
  assert.deepEqual(namesOf(source.current()), ["a"]);
  assert.deepEqual(codesOf(source.current()).sort(), ["document-too-large", "source-unreadable"]);
});

test("a writer that truncates, pauses and writes on never makes an object flicker", async (t) => {
  const dir = await tempFolder(t);
  const file = join(dir, "a.yaml");
  await writeFile(file, `${service("a")}---\n${service("b")}`);
  const source = await started(t, [dir], { settleMs: 3_600_000 });
  const sets = recorded(t, source);
  await writeFile(file, service("a", 81));
  await until(source, (set) => named(set, "a")?.kind === "Service" && JSON.stringify(named(set, "a")).includes("81"));
  await writeFile(file, "");
  await writeFile(join(dir, "probe.yaml"), service("probe"));
  await until(source, (set) => named(set, "probe") !== undefined);
  await writeFile(file, `${service("a", 82)}---\n${service("b", 82)}`);
  await until(source, (set) => JSON.stringify(named(set, "b")).includes("82"));
  assert.ok(sets.every((set) => named(set, "a") !== undefined && named(set, "b") !== undefined));
});

test("a root folder that is deleted leaves everything in use, and is picked up when it returns", async (t) => {
  const dir = join(await tempFolder(t), "mesh");
  await mkdir(join(dir, "sub"), { recursive: true });
  await writeFile(join(dir, "a.yaml"), service("a"));
  await writeFile(join(dir, "sub", "b.yaml"), service("b"));
  const source = await started(t, [dir]);
  const sets = recorded(t, source);

  await rm(dir, { recursive: true });
  const gone = await until(source, (set) => codesOf(set).includes("source-unreadable"));
  assert.deepEqual(namesOf(gone), ["a", "b"]);

  await mkdir(dir);
  await writeFile(join(dir, "a.yaml"), service("a", 81));
  const back = await until(
    source,
    (set) => JSON.stringify(named(set, "a")).includes("81") && namesOf(set).join() === "a",
  );
  assert.deepEqual(back.findings, []);
  assert.ok(sets.every((set) => named(set, "a") !== undefined));
  await writeFile(join(dir, "c.yaml"), service("c"));
  await until(source, (set) => namesOf(set).join() === "a,c");
});

test("a root folder that another takes the place of is followed", async (t) => {
  const parent = await tempFolder(t);
  const dir = join(parent, "mesh");
  await mkdir(dir);
  await writeFile(join(dir, "a.yaml"), service("a"));
  const source = await started(t, [dir], { pollMs: 50 });
  await mkdir(join(parent, "next"));
  await writeFile(join(parent, "next", "b.yaml"), service("b"));
  await rename(dir, join(parent, "old"));
  await rename(join(parent, "next"), dir);
  await until(source, (set) => namesOf(set).join() === "b");
  await writeFile(join(dir, "c.yaml"), service("c"));
  await until(source, (set) => namesOf(set).join() === "b,c");
});

test("a mounted ConfigMap, all links, is followed when its data link is swapped", async (t) => {
  const dir = await tempFolder(t);
  for (const [version, port] of [
    ["..1", 80],
    ["..2", 81],
  ] as const) {
    await mkdir(join(dir, version));
    await writeFile(join(dir, version, "a.yaml"), service("a", port));
  }
  await symlink("..1", join(dir, "..data"));
  await symlink(join("..data", "a.yaml"), join(dir, "a.yaml"));
  const source = await started(t, [dir]);
  assert.deepEqual(namesOf(source.current()), ["a"]);
  await symlink("..2", join(dir, "..tmp"));
  await rename(join(dir, "..tmp"), join(dir, "..data"));
  await until(source, (set) => JSON.stringify(named(set, "a")).includes("81"));
});

test("links that go round in circles, or nowhere, are safe", async (t) => {
  const dir = await tempFolder(t);
  await mkdir(join(dir, "sub"));
  await writeFile(join(dir, "sub", "a.yaml"), service("a"));
  await symlink("..", join(dir, "sub", "up"));
  await symlink("self.yaml", join(dir, "self.yaml"));
  await symlink("nowhere.yaml", join(dir, "dangling.yaml"));
  const source = await started(t, [dir]);
  assert.deepEqual(namesOf(source.current()), ["a"]);
  assert.deepEqual(codesOf(source.current()), ["source-unreadable"]);
});

test("the target of a link, outside of the folder, is followed by polling", async (t) => {
  const [dir, outside] = [await tempFolder(t), await tempFolder(t)];
  await writeFile(join(outside, "target"), service("a"));
  await symlink(join(outside, "target"), join(dir, "a.yaml"));
  const source = await started(t, [dir], { pollMs: 20 });
  await replace(join(outside, "target"), service("b"));
  await until(source, (set) => namesOf(set).join() === "b");
});

test("duplicates in a folder: the first by file and document counts, and the finding names both", async (t) => {
  const dir = await tempFolder(t);
  await writeFile(join(dir, "b.yaml"), service("a", 3));
  await writeFile(join(dir, "a.yaml"), `${service("a", 1)}---\n${service("a", 2)}`);
  const source = await started(t, [dir]);
  assert.match(JSON.stringify(named(source.current(), "a")), /"port":1/);
  const { findings } = source.current();
  assert.deepEqual(
    findings.map(({ code, origin }) => [code, origin]),
    [
      ["object-duplicate", { file: join(dir, "a.yaml"), document: 2 }],
      ["object-duplicate", { file: join(dir, "b.yaml"), document: 1 }],
    ],
  );
  assert.ok(findings.every(({ message }) => message.includes(`${join(dir, "a.yaml")}, document 1`)));
  await rm(join(dir, "a.yaml"));
  const after = await until(source, ({ findings: left }) => left.length === 0);
  assert.match(JSON.stringify(named(after, "a")), /"port":3/);
});

test("a later folder overrides an earlier one, silently and only while it has the object", async (t) => {
  const [first, second] = [await tempFolder(t), await tempFolder(t)];
  await writeFile(join(first, "a.yaml"), service("a", 1));
  await writeFile(join(second, "a.yaml"), service("a", 2));
  const source = await started(t, [first, second]);
  assert.match(JSON.stringify(named(source.current(), "a")), /"port":2/);
  assert.deepEqual(source.current().findings, []);
  await rm(join(second, "a.yaml"));
  await until(source, (set) => JSON.stringify(named(set, "a")).includes('"port":1'));
});

test("an object that moves to another file is never missing", async (t) => {
  const dir = await tempFolder(t);
  await writeFile(join(dir, "a.yaml"), service("a"));
  const source = await started(t, [dir]);
  const sets = recorded(t, source);
  await rename(join(dir, "a.yaml"), join(dir, "b.yaml"));
  await until(source, (set) => named(set, "a")?.origin?.file === join(dir, "b.yaml"));
  assert.ok(sets.every((set) => namesOf(set).join() === "a"));
});

/** Root may look into everything, so for the length of a test it is nobody, whom the folder is given to. */
async function withoutPrivileges(t: TestContext, dir: string): Promise<void> {
  if (process.geteuid?.() !== 0) return;
  const nobody = 65_534;
  await chown(dir, nobody, nobody);
  process.seteuid?.(nobody);
  t.after(() => process.seteuid?.(0));
}

test("a folder that may not be looked into keeps what it held", async (t) => {
  const dir = await tempFolder(t);
  await withoutPrivileges(t, dir);
  await mkdir(join(dir, "sub"));
  await writeFile(join(dir, "sub", "a.yaml"), service("a"));
  const source = await started(t, [dir], { pollMs: 20 });
  try {
    await chmod(join(dir, "sub"), 0o000);
    const closed = await until(source, (set) => codesOf(set).includes("source-unreadable"));
    assert.deepEqual(namesOf(closed), ["a"]);
  } finally {
    await chmod(join(dir, "sub"), 0o700);
  }
});

test("a listener that throws stops neither the source nor the other listeners", async (t) => {
  const dir = await tempFolder(t);
  const source = await started(t, [dir]);
  t.after(source.onChange(() => assert.fail("a listener's own mistake")));
  await writeFile(join(dir, "a.yaml"), service("a"));
  await until(source, (set) => namesOf(set).join() === "a");
  await writeFile(join(dir, "b.yaml"), service("b"));
  await until(source, (set) => namesOf(set).join() === "a,b");
});

test("a change does not wait until a look through thousands of folders is over", async (t) => {
  const dir = await tempFolder(t);
  const folders = Array.from({ length: 400 }, (_, at) => join(dir, `ns-${at}`));
  for (const folder of folders) {
    await mkdir(folder);
    await writeFile(join(folder, "service.yaml"), service(basename(folder)));
  }
  const clock = createManualClock(0);
  const source = await started(t, [dir], { clock, pollMs: 3000 });
  // The look begins, and since no time passes any more, nothing else is begun behind it.
  clock.advance(3005);
  // The look itself might see the first change, but not another behind it.
  for (const port of [81, 82]) {
    await replace(join(dir, "ns-7", "service.yaml"), service("ns-7", port));
    await until(source, (set) => JSON.stringify(named(set, "ns-7")).includes(`"port":${port}`));
  }
  assert.equal(source.current().objects.length, folders.length);
});

test("of 2,120 documents one that changes is the only one to change", async (t) => {
  const dir = await tempFolder(t);
  const file = join(dir, "mesh.yaml");
  const lines = Array.from({ length: 2120 }, (_, at) => endpointSlice(at, "10.0.0.1"));
  await writeFile(file, lines.join("\n"));
  const source = await started(t, [dir]);
  const first = source.current();
  assert.equal(first.objects.length, 2120);

  lines[1000] = endpointSlice(1000, "10.0.0.2");
  await replace(file, lines.join("\n"));
  const second = await until(source, (set) => set !== first);
  const changed = second.objects.filter((object, at) => object !== first.objects[at]);
  assert.deepEqual(
    changed.map(({ metadata }) => metadata.name),
    ["svc-1000-a"],
  );
});

function endpointSlice(at: number, address: string): string {
  return JSON.stringify({
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    addressType: "IPv4",
    metadata: {
      name: `svc-${at}-a`,
      namespace: `load-${at % 20}`,
      labels: { "kubernetes.io/service-name": `svc-${at}` },
    },
    endpoints: Array.from({ length: 5 }, () => ({ addresses: [address], conditions: { ready: true } })),
    ports: [{ name: "http", port: 8080 }],
  });
}
