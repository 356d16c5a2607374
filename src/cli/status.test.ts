import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { testControlPlane } from "../../test/support/control-plane.ts";
import { istio } from "../../test/support/manifests.ts";
import { until } from "../../test/support/until.ts";

const program = fileURLToPath(new URL("trysail.ts", import.meta.url));

/** The program as a shell runs it. */
function status(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [program, "status", ...args], (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === "number" ? error.code : 0, stdout, stderr });
    });
  });
}

const entry = istio("ServiceEntry", "bank", {
  hosts: ["bank.test"],
  ports: [{ number: 80, name: "http", protocol: "HTTP" }],
  resolution: "DNS",
});
const route = (name: string, host: string) =>
  istio("VirtualService", name, {
    hosts: [`${name}.test`],
    http: [{ route: [{ destination: { host } }] }],
  });

test("on one machine a table tells what became of each object of a folder", async (t) => {
  const files = { "mesh.yaml": entry + route("page", "bank.test") + route("lost", "nowhere.test") };
  const mesh = await testControlPlane(t, files);
  const server = ["--server", `http://127.0.0.1:${mesh.ports.http}`, "--state-dir", mesh.stateDir];
  const { code, stdout } = await status(...server);
  assert.equal(code, 0, stdout);
  assert.deepEqual(
    stdout.split("\n").map((line) => line.split(/ {2,}/).slice(0, 8)),
    [
      ["NAMESPACE", "KIND", "NAME", "ACCEPTED", "RESOLVEDREFS", "CONFLICTED", "PROGRAMMED", "RECONCILED"],
      ["shop", "ServiceEntry", "bank", "True", "True", "False", "True", "0 of 0 proxies up to date"],
      ["shop", "VirtualService", "lost", "True", "False", "False", "True", "0 of 0 proxies up to date"],
      ["shop", "VirtualService", "page", "True", "True", "False", "True", "0 of 0 proxies up to date"],
      [""],
    ],
  );
  assert.match(stdout, /lost .* names nowhere\.test, but there is no such Service/);

  await writeFile(join(mesh.dir, "bad.yaml"), istio("DestinationRule", "bad", { host: "bank.test", subsets: "all" }));
  const refused = await until("the refusal", async () => {
    const answer = await status(...server, "-o", "json", "--namespace", "shop");
    return answer.code === 1 && answer;
  });
  const bad = JSON.parse(refused.stdout).find(({ object }: { object: { name: string } }) => object.name === "bad");
  assert.deepEqual(
    [bad.object.kind, bad.conditions[0].type, bad.conditions[0].status, bad.conditions[0].reason],
    ["DestinationRule", "Accepted", "False", "SchemaInvalid"],
  );
  assert.equal((await status(...server, "--namespace", "elsewhere")).stdout, "no objects\n");
});

test("a control plane that is not there is told of in one line", async (t) => {
  const { stateDir } = await testControlPlane(t, {});
  const { code, stderr } = await status("--server", "http://127.0.0.1:1", "--state-dir", stateDir);
  assert.equal(code, 1);
  assert.match(stderr, /^trysail: nothing answers at http:\/\/127\.0\.0\.1:1: .*\n$/);
});
