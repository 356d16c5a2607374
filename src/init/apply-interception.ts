import type { AddressFamily } from "./address-family.ts";
import { buildRules } from "./interception.ts";
import { type IpCommand, ipRemoval, ipSetup } from "./ip-setup.ts";
import { findIptables } from "./iptables-kind.ts";
import type { RunTool } from "./network-tool.ts";
import type { PodInterception } from "./pod-interception.ts";
import { noRules, rulesTransaction } from "./rules-transaction.ts";

export interface InterceptionInput {
  readonly families: readonly AddressFamily[];
  readonly iptables: "auto" | "nft" | "legacy";
}

/**
 * Puts the rules of `settings` in place of the ones an earlier run left, in one transaction a table.
 *
 * @throws TrysailError where a tool is missing, may not, or refuses.
 */
export async function applyInterception(
  run: RunTool,
  settings: PodInterception,
  { families, iptables }: InterceptionInput,
): Promise<void> {
  for (const family of families) {
    const [chosen, ...others] = await findIptables(run, family, iptables);
    await ip(run, ipSetup(settings, family));
    const restore = (dnsFamilies: typeof families | null) =>
      run(chosen.restore, RESTORE, rulesTransaction(chosen.removal, buildRules(settings, family, dnsFamilies)));
    // Some kernels cannot look into packets (xt_string). A pod had better start, with queries that Envoy cannot answer.
    await restore(families).catch((error: unknown) => (settings.redirectDns ? restore(null) : Promise.reject(error)));
    for (const { restore, removal, hasOurs } of others) {
      if (hasOurs) await run(restore, RESTORE, rulesTransaction(removal));
    }
  }
}

/** Takes away all that `applyInterception` sets up. */
export async function removeInterception(run: RunTool, { families, iptables }: InterceptionInput): Promise<void> {
  for (const family of families) {
    for (const { restore, removal, hasOurs } of await findIptables(run, family, iptables)) {
      if (hasOurs) await run(restore, RESTORE, rulesTransaction(removal));
    }
    await ip(run, ipRemoval(family));
  }
}

/** What `applyInterception` would do, in words that the tools themselves read. */
export function printInterception(settings: PodInterception, families: readonly AddressFamily[]): string {
  return families
    .map((family) => {
      const commands = ipSetup(settings, family).map(({ args }) => `# ip ${args.join(" ")}\n`);
      return `# ${family}\n${commands.join("")}${rulesTransaction(noRules, buildRules(settings, family, families))}`;
    })
    .join("");
}

const RESTORE = ["--noflush", "--wait=30"];

async function ip(run: RunTool, commands: readonly IpCommand[]): Promise<void> {
  for (const { args, mayFail } of commands) {
    const done = run("ip", args);
    await (mayFail ? done.catch(() => "") : done);
  }
}
