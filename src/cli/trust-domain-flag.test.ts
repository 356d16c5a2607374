import assert from "node:assert/strict";
import { test } from "node:test";
import type { Command, Option } from "commander";
import { COMMANDS } from "./commands.ts";

test("every command refuses a trust domain that is none", async () => {
  const flags = new Map<string, Option>();
  for (const { load } of Object.values(COMMANDS)) {
    for (const [name, flag] of trustDomainFlags(await load())) flags.set(name, flag);
  }
  const commands = ["serve", "translate", "ca status", "ca prepare", "ca activate", "ca retire"];
  assert.deepEqual([...flags.keys()].sort(), commands.sort());
  for (const [command, { parseArg }] of flags) {
    for (const name of ["", "Shop.example", "spiffe://shop.example", "shop.example/ns", "*", "shop.example "]) {
      const says = { code: "commander.invalidArgument", message: /^a trust domain has small letters/ };
      assert.throws(() => parseArg?.(name, "cluster.local"), says, `${command} takes ${JSON.stringify(name)}`);
    }
    assert.equal(parseArg?.("shop.example", "cluster.local"), "shop.example");
  }
});

function trustDomainFlags(command: Command, parent = ""): [command: string, flag: Option][] {
  const name = `${parent}${command.name()}`;
  const own = command.options.filter(({ long }) => long === "--trust-domain");
  const inner = command.commands.flatMap((one) => trustDomainFlags(one, `${name} `));
  return [...own.map((flag): [string, Option] => [name, flag]), ...inner];
}
