import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("./trysail.ts", import.meta.url));

test("started as a program, as in the image, it is told to keep little memory that it has freed", () => {
  const [first = ""] = readFileSync(program, "utf8").split("\n");
  const [, interpreter = "", flags = ""] = /^#!(\S+) (.*)$/.exec(first) ?? [];
  const say = "console.log(process.env.MALLOC_ARENA_MAX, ...process.execArgv)";
  // As the kernel does it: all behind the interpreter's name is one argument.
  const { stdout, stderr } = spawnSync(interpreter, [flags, program, "--help"], {
    encoding: "utf8",
    env: { ...process.env, NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(say)}` },
  });
  assert.match(stdout, /^2 --max-semi-space-size=4\nUsage: trysail /, stderr);
});
