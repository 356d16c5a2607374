import assert from "node:assert/strict";
import { test } from "node:test";
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
