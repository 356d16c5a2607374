import { Command } from "commander";
import type { AuthorityStatus, SlotStatus } from "../ca/authority/authority-status.ts";
import { systemClock } from "../platform/clock.ts";
import { TrysailError } from "../platform/errors.ts";
import { type CaRequest, offlineAuthority } from "./offline-authority.ts";
import { callServer, type ServerFlags, withServerFlags } from "./server-call.ts";
import { formatTable } from "./table.ts";
import { trustDomainOption } from "./trust-domain-flag.ts";

interface CaOptions extends ServerFlags {
  readonly trustDomain: string;
  readonly offline?: boolean;
  readonly force?: boolean;
  readonly output: string;
}

/** `trysail ca`: shows and drives the rotation of the mesh's authority. */
export function caCommand(): Command {
  const command = new Command("ca").description("show the mesh's certificate authority, and rotate it");
  command.addCommand(
    subcommand("status", "what signs, what is prepared, what is old, and what comes next").action((options) =>
      answer({ kind: "status" }, options),
    ),
  );
  command.addCommand(
    subcommand("prepare", "make a new root and publish it to every proxy; nothing is signed with it yet").action(
      (options) => answer({ kind: "prepare" }, options),
    ),
  );
  command.addCommand(
    subcommand("activate", "sign with what is prepared; refused until every connected proxy trusts it")
      .option("--force", "although not every proxy is known to trust it")
      .action((options) => answer({ kind: "activate", force: options.force === true }, options)),
  );
  command.addCommand(
    subcommand("retire", "stop trusting what is old; refused while its certificates may be valid")
      .argument("[id]", "one of them, or what is prepared, to take it back; all old ones unless given")
      .option("--force", "although its certificates may still be valid")
      .action((id: string | undefined, options) =>
        answer({ kind: "retire", force: options.force === true, ...(id !== undefined && { id }) }, options),
      ),
  );
  return command;
}

function subcommand(name: string, description: string): Command {
  return withServerFlags(new Command(name).description(description))
    .option("--offline", "work on the state folder itself, with no control plane")
    .addOption(trustDomainOption("of the mesh, for --offline"))
    .option("-o, --output <format>", "table or json", "table");
}

async function answer(request: CaRequest, options: CaOptions): Promise<void> {
  if (options.output !== "table" && options.output !== "json") {
    throw new TrysailError("invalid-argument", `--output ${options.output} is neither table nor json`);
  }
  const status = options.offline === true ? await askFolder(request, options) : await askServer(request, options);
  process.stdout.write(options.output === "json" ? `${JSON.stringify(status, null, 2)}\n` : formatStatus(status));
}

function askFolder(request: CaRequest, { stateDir, trustDomain }: CaOptions): Promise<AuthorityStatus> {
  if (stateDir === undefined) throw new TrysailError("invalid-argument", "--offline needs --state-dir");
  return offlineAuthority({ stateDir, trustDomain }, request);
}

async function askServer({ kind, ...body }: CaRequest, options: CaOptions): Promise<AuthorityStatus> {
  const hint = " (--offline needs no control plane)";
  const answer =
    kind === "status"
      ? await callServer("/ca", options, { hint })
      : await callServer(`/ca/${kind}`, options, { body, hint });
  // What this same program wrote, of the same version or one that is close.
  return answer as AuthorityStatus;
}

function formatStatus(status: AuthorityStatus): string {
  const rows = status.slots.map((slot) => [
    slot.slot,
    slot.id,
    slot.origin,
    slot.key,
    day(slot.notAfter),
    noteOf(slot),
    slot.subject,
  ]);
  const lines = [formatTable([["SLOT", "ID", "ORIGIN", "KEY", "VALID UNTIL", "NOTE", "SUBJECT"], ...rows])];
  const { facts, next, sourceProblem, revocationLists } = status;
  if (facts !== null)
    lines.push(`${facts.acknowledged} of ${facts.proxies} connected proxies accepted the trust bundle`);
  if (sourceProblem !== null) lines.push(`the plugged-in authority cannot be used: ${sourceProblem}`);
  if (revocationLists?.problem != null) lines.push(`revocation lists: ${revocationLists.problem}`);
  if (revocationLists?.until != null) lines.push(`revocation lists are in force until ${time(revocationLists.until)}`);
  if (next !== null) {
    const until = next.kind === "wait" && next.until !== null ? `, until ${time(next.until)}` : "";
    lines.push(`next: ${next.kind === "wait" ? "waiting" : next.kind}, because ${next.reason}${until}`);
  }
  return `${lines.join("\n")}\n`;
}

function noteOf({ slot, leavesUntil, notAfter }: SlotStatus): string {
  if (slot !== "old" && notAfter <= systemClock.now()) return "has expired";
  if (slot === "active") return "signs";
  if (slot === "prepared") return "trusted, signs nothing yet";
  return leavesUntil === null ? "trusted" : `certificates until ${time(leavesUntil)}`;
}

function day(epochMs: number): string {
  return new Date(epochMs).toISOString().slice(0, 10);
}

function time(epochMs: number): string {
  return `${new Date(epochMs).toISOString().slice(0, 19)}Z`;
}
