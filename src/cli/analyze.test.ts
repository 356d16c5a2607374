import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { findingsTable } from "./analyze.ts";

const program = join(import.meta.dirname, "trysail.ts");

async function folderOf(t: TestContext, text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "trysail-analyze-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, "mesh.yaml"), text);
  return folder;
}

const analyze = (...args: string[]) => run("analyze", ...args);

function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [program, ...args], { encoding: "utf8" });
}

const service = "apiVersion: v1\nkind: Service\nmetadata: {name: cart}\nspec: {ports: [{name: http, port: 80}]}\n";
const toNowhere =
  "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: cart}\nspec: {hosts: [cart], http: [{route: [{destination: {host: gone}}]}]}\n";

test("analyze exits with 0 where nothing is an error, and prints references that dangle", async (t) => {
  const { status, stdout } = analyze("-f", await folderOf(t, `${service}---\n${toNowhere}`));
  assert.match(
    stdout,
    /^warning +VirtualService default\/cart +spec\.http\[0\]\.route\[0\]\.destination\.host +names gone .*mesh\.yaml:2$/m,
  );
  assert.match(stdout, /^2 objects in use, 0 errors, 1 warning$/m);
  assert.equal(status, 0);
});

test("analyze exits with 1 where a finding is an error, and prints all as JSON when asked to", async (t) => {
  const [bad, good] = [await folderOf(t, service.replace("80", "eighty")), await folderOf(t, service)];
  const { status, stdout } = analyze("-f", bad, "-f", good, "-o", "json");
  const findings: unknown = JSON.parse(stdout);
  assert.ok(Array.isArray(findings));
  assert.deepEqual(
    findings.map(({ code, field }) => [code, field]),
    [["schema-invalid", "spec.ports[0].port"]],
  );
  assert.equal(status, 1);
});

test("analyze names a folder that does not exist, in one line", async (t) => {
  const { status, stderr } = analyze("-f", join(await folderOf(t, ""), "none"));
  assert.match(stderr, /^trysail: configuration folder .*none does not exist\n$/);
  assert.equal(status, 1);
});

for (const command of ["analyze", "translate", "inject"]) {
  test(`${command} without -f is a usage error`, () => {
    const { status, stdout, stderr } = run(command, ...(command === "translate" ? ["--proxy", "cart.shop"] : []));
    assert.match(stderr, /^error: required option '-f, /);
    assert.deepEqual([status, stdout], [2, ""]);
  });
}

test("no text of a manifest can write control sequences to the terminal", () => {
  const table = findingsTable(
    [{ severity: "error", code: "schema-invalid", message: "is \u001b[2J\nno text", field: "a\u202eb" }],
    0,
  );
  assert.ok(!table.includes("\u001b") && !table.includes("\u202e"));
  assert.equal(table.split("\n").length, 3);
});
