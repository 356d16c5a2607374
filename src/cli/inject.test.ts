import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { test } from "node:test";

const pod = (namespace: string) =>
  `apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: ${namespace}}\nspec: {containers: [{name: app}]}\n`;

test("standard input comes out with sidecars, and what is left out is named on standard error", async () => {
  const { stdout, stderr, code } = await inject(
    ["-f", "-", "--discovery-address", "here:1"],
    `${pod("shop")}---\n${pod("kube-system")}`,
  );
  assert.equal(code, 0);
  assert.match(stdout, /name: istio-proxy/);
  assert.match(stdout, /discoveryAddress":"here:1"/);
  assert.ok(stdout.endsWith(`---\n${pod("kube-system")}`));
  assert.equal(stderr, "Pod kube-system/web is not injected: Pods in namespace kube-system are never injected.\n");
});

test("what cannot be read is named, and nothing is printed", async () => {
  const missing = await inject(["-f", "/nowhere.yaml"], "");
  assert.match(missing.stderr, /\/nowhere\.yaml cannot be read/);
  const broken = await inject(["-f", "-"], `${pod("shop")}---\na: [`);
  assert.match(broken.stderr, /standard input: document 2: /);
  for (const { stdout, code } of [missing, broken]) assert.deepEqual([stdout, code === 0], ["", false]);
});

/** The command in a process of its own, as a shell runs it. */
async function inject(args: string[], input: string): Promise<{ stdout: string; stderr: string; code: number | null }> {
  const program = `
    import { injectCommand } from ${JSON.stringify(import.meta.resolve("./inject.ts"))};
    await injectCommand().parseAsync(process.argv.slice(1), { from: "user" });`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program, "--", ...args]);
  const code = new Promise<number | null>((resolve) => child.once("exit", resolve));
  child.stdin.on("error", () => {}).end(input);
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { stdout, stderr, code: await code };
}
