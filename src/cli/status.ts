import { Command } from "commander";
import type { Condition, ObjectStatus } from "../status/object-status.ts";
import { outputOption } from "./output-flag.ts";
import { callServer, type ServerFlags, withServerFlags } from "./server-call.ts";
import { formatTable } from "./table.ts";

interface StatusFlags extends ServerFlags {
  readonly namespace?: string;
  readonly output: "table" | "json";
}

/** `trysail status`: what became of each object; exits with 1 where one is not used, or a proxy refuses it. */
export function statusCommand(): Command {
  const command = new Command("status")
    .description("show what became of each object of the mesh; exit 1 where one is not used, or a proxy refuses it")
    .option("-n, --namespace <name>", "objects of this namespace alone")
    .addOption(outputOption());
  return withServerFlags(command).action(showStatus);
}

async function showStatus({ namespace, output, ...server }: StatusFlags): Promise<void> {
  // What this same program wrote, of the same version or one that is close.
  const all = (await callServer("/debug/status", server)) as readonly ObjectStatus[];
  const statuses = namespace === undefined ? all : all.filter(({ object }) => object.namespace === namespace);
  process.stdout.write(`${output === "json" ? JSON.stringify(statuses, null, 2) : statusTable(statuses)}\n`);
  const isWell = (status: ObjectStatus) =>
    statusOf(status, "Accepted") === "True" && statusOf(status, "Programmed") === "True";
  if (!statuses.every(isWell)) process.exitCode = 1;
}

const COLUMNS = ["Accepted", "ResolvedRefs", "Conflicted", "Programmed"] as const;

/** One line for each object: its conditions, how far it is, and the first of its conditions that is not as it should be. */
export function statusTable(statuses: readonly ObjectStatus[]): string {
  const rows = statuses.map((status) => [
    status.object.namespace,
    status.object.kind,
    status.object.name,
    ...COLUMNS.map((type) => statusOf(status, type)),
    conditionOf(status, "Reconciled")?.message ?? "",
    problemOf(status),
  ]);
  const head = ["NAMESPACE", "KIND", "NAME", ...COLUMNS.map((type) => type.toUpperCase()), "RECONCILED", "WHY"];
  return rows.length === 0 ? "no objects" : formatTable([head, ...rows]);
}

function problemOf(status: ObjectStatus): string {
  const bad = COLUMNS.find((type) => statusOf(status, type) !== (type === "Conflicted" ? "False" : "True"));
  const { reason, message } = conditionOf(status, bad ?? "Accepted") ?? {};
  return bad === undefined && reason === "Accepted" ? "" : (message ?? "");
}

function conditionOf({ conditions }: ObjectStatus, type: Condition["type"]): Condition | undefined {
  return conditions.find((condition) => condition.type === type);
}

function statusOf(status: ObjectStatus, type: Condition["type"]): string {
  return conditionOf(status, type)?.status ?? "Unknown";
}
