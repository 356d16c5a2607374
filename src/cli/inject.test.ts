import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";

const pod = (namespace: string) =>
  `apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: ${namespace}}\nspec: {containers: [{name: app}]}\n`;
const job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: broken}\nspec: {template: {spec: {}}}\n";
const service = "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {}\n";

test("standard input comes out with sidecars, and what is left out is named on standard error", async () => {
  const args = ["-f", "-", "--discovery-address", "here:1"];
  const { stdout, stderr, code } = await inject(args, `${pod("shop")}---\n${pod("kube-system")}`);
  assert.equal(code, 0);
  assert.match(stdout, /name: istio-proxy/);
  assert.match(stdout, /discoveryAddress":"here:1"/);
  assert.ok(stdout.endsWith(`---\n${pod("kube-system")}`));
  assert.equal(stderr, "Pod kube-system/web is not injected: Pods in namespace kube-system are never injected.\n");
});

test("what cannot be read or injected is named, nothing is printed, and the exit code is 1", async () => {
  const missing = await inject(["-f", "/nowhere.yaml"], "");
  assert.match(missing.stderr, /^trysail: \/nowhere\.yaml cannot be read/);
  const broken = await inject(["-f", "-"], `${pod("shop")}---\na: [`);
  assert.match(broken.stderr, /^trysail: standard input: document 2: /);
  const refused = await inject(["-f", "-", "-n", "shop"], `${pod("shop")}---\n${job}`);
  assert.match(refused.stderr, /^trysail: standard input: document 2: Job shop\/broken: not a valid Pod/);
  for (const { stdout, code } of [missing, broken, refused]) assert.deepEqual([stdout, code], ["", 1]);
});

test("--explain prints every object with its decision and the reason, and no manifests", async () => {
  const all = [service, pod("shop"), pod("kube-system")].join("---\n");
  const { stdout, code } = await inject(["-f", "-", "--explain"], all);
  assert.equal(code, 0);
  assert.equal(
    stdout,
    [
      "DOCUMENT  OBJECT               DECISION  REASON             MESSAGE",
      "1         Service shop/web     ignored   makes-no-pods",
      "2         Pod shop/web         injected  injected",
      "3         Pod kube-system/web  skipped   namespace-ignored  Pods in namespace kube-system are never injected.",
      "",
    ].join("\n"),
  );
});

test("--explain tells what cannot be injected as well, and exits with 1", async () => {
  const { stdout, code } = await inject(["-f", "-", "--explain"], `${job}---\n${pod("shop")}`);
  assert.equal(code, 1);
  assert.match(stdout, /^1 +Job default\/broken +refused +refused +not a valid Pod: .*\n2 +Pod shop\/web +injected/m);
});

test("the settings of files are used; flags win over values, and values over the mesh's config", async (t) => {
  const folder = await temporaryFolder(t);
  const mesh = join(folder, "mesh.yaml");
  const data = { mesh: "defaultConfig: {discoveryAddress: 'mesh:15012', concurrency: 7}\n" };
  await writeFile(mesh, JSON.stringify({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "istio" }, data }));
  const values = join(folder, "values.yaml");
  await writeFile(values, "global:\n  proxy: {image: 'example.com/envoy:values', logLevel: info}\n  tag: latest\n");
  const args = ["-f", "-", "--mesh-config", mesh, "--values", values, "--revision", "canary"];
  const plain = await inject(args, pod("shop"));
  assert.equal(plain.code, 0);
  assert.match(plain.stdout, /mesh:15012/);
  assert.match(plain.stdout, /"concurrency":7|concurrency\D+7\b/);
  assert.match(plain.stdout, /image: example\.com\/envoy:values/);
  assert.match(plain.stdout, /istio\.io\/rev: canary/);
  assert.equal(plain.stderr, `${values}: global.tag has no effect on what is injected here\n`);
  const flags = ["--proxy-image", "example.com/envoy:flag", "--discovery-address", "flag:1"];
  const flagged = await inject([...args, ...flags], pod("shop"));
  assert.match(flagged.stdout, /image: example\.com\/envoy:flag/);
  assert.match(flagged.stdout, /"discoveryAddress":"flag:1"/);
});

test("the operator's settings are read as the control plane reads them, under the mesh's config", async (t) => {
  const folder = await temporaryFolder(t);
  const [settings, mesh] = [join(folder, "settings.yaml"), join(folder, "mesh.yaml")];
  await writeFile(settings, "proxyImage: example.com/envoy:ours\nproxyConfig: {concurrency: 3, statusPort: 15088}\n");
  await writeFile(mesh, "defaultConfig: {concurrency: 7}\n");
  const { stdout } = await inject(["-f", "-", "--injection-config", settings, "--mesh-config", mesh], pod("shop"));
  assert.match(stdout, /image: example\.com\/envoy:ours/);
  assert.match(stdout, /"concurrency":7/);
  assert.match(stdout, /"statusPort":15088/);
  await writeFile(settings, "proxyImages: none\n");
  const { stderr, code } = await inject(["-f", "-", "--injection-config", settings], pod("shop"));
  assert.deepEqual([stderr, code], [`trysail: ${settings}: there is no setting proxyImages\n`, 1]);
});

test("files that say nonsense are named, and usage errors exit with 2", async (t) => {
  const file = join(await temporaryFolder(t), "bad.yaml");
  await writeFile(file, "defaultConfig: {concurrency: many}\n");
  const bad = await inject(["-f", "-", "--mesh-config", file], pod("shop"));
  assert.deepEqual([bad.code, bad.stdout], [1, ""]);
  assert.match(bad.stderr, /^trysail: .*bad\.yaml: defaultConfig: field concurrency must be/);
  await writeFile(file, "a: [\n");
  assert.match((await inject(["-f", "-", "--values", file], pod("shop"))).stderr, /^trysail: .*bad\.yaml: not YAML/);
  assert.equal((await inject([], "")).code, 2);
  assert.equal((await inject(["-f", "-", "--nonsense"], "")).code, 2);
});

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "trysail-inject-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** The command in a process of its own, as a shell runs it. */
async function inject(args: string[], input: string): Promise<{ stdout: string; stderr: string; code: number | null }> {
  const program = fileURLToPath(new URL("./trysail.ts", import.meta.url));
  const child = spawn(process.execPath, [program, "inject", ...args]);
  const code = new Promise<number | null>((resolve) => child.once("exit", resolve));
  child.stdin.on("error", () => {}).end(input);
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { stdout, stderr, code: await code };
}
