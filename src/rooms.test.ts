import assert from "node:assert/strict";
import { globSync, readdirSync, readFileSync } from "node:fs";
import { join, normalize, sep } from "node:path";
import { test } from "node:test";

/** ARCHITECTURE.md, as far as imports show it. */

/** What each folder of src imports from, beside `platform` and src/config.ts. None comes before what it imports from. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  gen: [],
  platform: [],
  mesh: [],
  ca: [],
  sources: ["mesh"],
  xds: ["ca", "gen"],
  "ca-api": ["ca"],
  injection: ["mesh"],
  // Of streams it knows what they are given.
  translate: ["gen", "mesh", "xds"],
  init: ["gen", "injection", "mesh"],
  dev: ["ca", "mesh", "sources"],
  sds: ["ca", "gen", "mesh", "xds"],
  validation: ["injection", "mesh"],
  status: ["gen", "mesh", "translate", "xds"],
  kubernetes: ["ca", "mesh", "sources", "status"],
  "control-plane": [
    ...["ca", "ca-api", "injection", "kubernetes", "mesh", "sds", "sources", "status", "translate", "validation"],
    "xds",
  ],
  ratelimit: ["control-plane", "gen", "kubernetes", "mesh", "sources"],
  operations: ["ca", "control-plane", "injection", "kubernetes", "mesh", "status"],
  cli: [
    ...["ca", "control-plane", "dev", "init", "injection", "kubernetes", "mesh", "operations", "ratelimit", "sources"],
    ...["status", "translate"],
  ],
};

const imports = globSync("*/**/*.ts", { cwd: import.meta.dirname })
  .filter((file) => !file.startsWith(`gen${sep}`) && !file.endsWith(".test.ts"))
  .flatMap((file) => {
    const text = readFileSync(join(import.meta.dirname, file), "utf8");
    return [...text.matchAll(/(?:from |import\()"(\.\.?\/[^"]+)"/g)].map(([, path = ""]) => {
      const target = normalize(join(file, "..", path));
      return { file, target, from: roomOf(file), to: roomOf(target) };
    });
  })
  .filter(({ from, to }) => from !== to && to !== "platform");

test("folders import from those alone that stand before them, and the table leaves none of them out", () => {
  const strange = imports.filter(({ from, to, target }) => target.includes(sep) && !ROOMS[from]?.includes(to));
  assert.deepEqual(
    strange.map(({ file, target }) => `${file} imports ${target}`),
    [],
  );
  const inOrder = Object.keys(ROOMS);
  for (const [index, [room, others]] of Object.entries(ROOMS).entries()) {
    for (const other of others) {
      assert.ok(inOrder.indexOf(other) < index, `${room} stands before ${other}`);
      assert.ok(
        imports.some(({ from, to }) => from === room && to === other),
        `${room} has no use for ${other}`,
      );
    }
  }
});

test("the translator knows of streams only what they are given", () => {
  const targets = imports.filter(({ from, to }) => from === "translate" && to === "xds").map(({ target }) => target);
  assert.deepEqual(new Set(targets), new Set([join("xds", "node.ts"), join("xds", "resource-set.ts")]));
});

test("ARCHITECTURE.md and the table know every folder", () => {
  const text = readFileSync(join(import.meta.dirname, "..", "ARCHITECTURE.md"), "utf8");
  const folders = readdirSync(import.meta.dirname, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  assert.deepEqual(
    folders.map(({ name }) => name).filter((room) => ROOMS[room] === undefined || !text.includes(`\`src/${room}/\``)),
    [],
  );
});

function roomOf(path: string): string {
  return path.split(sep)[0] ?? path;
}
