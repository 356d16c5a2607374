import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { devCommand } from "./dev.ts";
import { serveCommand } from "./serve.ts";
import { tokenCommand } from "./token.ts";

for (const [command, flag, duration] of [
  [serveCommand(), "--workload-cert-ttl", "24h"],
  [tokenCommand(), "--ttl", "12h"],
  [devCommand(), "--ready-timeout", "2m"],
] as const) {
  test(`the help of ${command.name()} shows how long ${flag} is by default, as it would be typed`, () => {
    const help = command.configureHelp({ helpWidth: 500 }).helpInformation();
    const line = help.split("\n").find((text) => text.includes(flag));
    assert.ok(line?.endsWith(`(default: ${duration})`), line);
  });
}

const program = fileURLToPath(new URL("./trysail.ts", import.meta.url));

for (const args of [
  ["bogus"],
  ["bogus", "--help"],
  ["help", "bogus"],
  ["constructor"],
  ["__proto__", "--help"],
  ["ca", "bogus", "--help"],
  ["help", "ca", "bogus"],
  ["tag", "set", "prod"],
  ["ca", "status", "--nope"],
]) {
  test(`trysail ${args.join(" ")} is wrong usage: one line, and 2`, () => {
    const { status, stderr } = spawnSync(process.execPath, [program, ...args], { encoding: "utf8" });
    assert.match(stderr, /^error: .*\n$/);
    assert.equal(status, 2);
  });
}

test("the help of a command's command is no error", () => {
  assert.equal(spawnSync(process.execPath, [program, "tag", "set", "--help"]).status, 0);
});

test("help of a command is what the command says, asked for either way", () => {
  const [first, other] = [
    ["ca", "status", "--help"],
    ["help", "ca", "status"],
  ].map((args) => spawnSync(process.execPath, [program, ...args], { encoding: "utf8" }));
  assert.match(first?.stdout ?? "", /^Usage: trysail ca status \[options\]\n/);
  assert.deepEqual([other?.stdout, other?.status], [first?.stdout, 0]);
});

test("who stops reading what a command prints ends it without a complaint", async () => {
  const folder = fileURLToPath(new URL("../../examples/bookstore", import.meta.url));
  const args = [program, "analyze", "--file", folder];
  const running = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  running.stdout.destroy();
  const [said, [status]] = await Promise.all([text(running.stderr), once(running, "close")]);
  assert.deepEqual([said, status], ["", 0]);
});
