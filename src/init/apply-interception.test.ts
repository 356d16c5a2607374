import assert from "node:assert/strict";
import { test } from "node:test";
import { TrysailError } from "../platform/errors.ts";
import { applyInterception } from "./apply-interception.ts";
import { redirectEverything } from "./pod-interception.ts";

/** Tools that work, but for what `refuses` holds for; what was set up. */
function fakeTools(refuses: (rules: string) => boolean) {
  const applied: string[] = [];
  const run = async (tool: string, _args: readonly string[], input = "") => {
    if (!tool.endsWith("-restore")) return "";
    if (refuses(input)) throw new TrysailError("failed-precondition", "unknown match");
    applied.push(input);
    return "";
  };
  return { run, applied };
}

const how = { families: ["ipv4"], iptables: "nft" } as const;

test("where the kernel cannot tell one DNS query from another, all of them go to Envoy", async () => {
  const { run, applied } = fakeTools((rules) => rules.includes("-m string"));
  await applyInterception(run, { ...redirectEverything, redirectDns: true }, how);
  assert.equal(applied.length, 1);
  assert.match(applied[0] ?? "", /-A ISTIO_OUTPUT_DNS -p udp -j REDIRECT --to-ports 15053/);
  assert.doesNotMatch(applied[0] ?? "", /-p udp +-j RETURN/);
});

test("what is refused for another reason is told", async () => {
  for (const redirectDns of [true, false]) {
    const { run } = fakeTools(() => true);
    await assert.rejects(applyInterception(run, { ...redirectEverything, redirectDns }, how), /unknown match/);
  }
});
