import { createInterface } from "node:readline/promises";
import { Command } from "commander";
import { meshedPods } from "../kubernetes/meshed-pods.ts";
import { planUninstall, type Removal, uninstall } from "../operations/uninstall.ts";
import { TrysailError } from "../platform/errors.ts";
import { type ClusterFlags, kubeconfigOption, withCluster } from "./cluster.ts";
import { formatTable } from "./table.ts";

interface UninstallFlags extends ClusterFlags {
  readonly namespace: string;
  readonly purge?: boolean;
  readonly crds?: boolean;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

const PODS_GONE_MS = 120_000;

/** `trysail uninstall`: takes the control plane, and with --purge every trace of it, out of a cluster. */
export function uninstallCommand(): Command {
  return new Command("uninstall")
    .description("remove the control plane of every revision from a cluster")
    .addOption(kubeconfigOption())
    .option("--namespace <name>", "where the control plane is", "trysail-system")
    .option("--purge", "also the mesh's root, its config, Leases and the trust bundle of every namespace")
    .option("--crds", "with --purge: also the CRDs, and so every VirtualService, policy and so on of every namespace")
    .option("--dry-run", "only list what would go")
    .option("--yes", "without asking")
    .action(run);
}

async function run({ namespace, purge = false, crds = false, dryRun = false, yes = false, ...flags }: UninstallFlags) {
  if (crds && !purge) throw new TrysailError("invalid-argument", "--crds goes with --purge");
  await withCluster(flags, async (client) => {
    const scope = purge ? ({ kind: "purge", crds } as const) : ({ kind: "control-planes" } as const);
    const removals = await planUninstall(client, { systemNamespace: namespace, scope });
    if (removals.length === 0) return print("there is nothing to remove");
    print(formatTable([["KIND", "NAMESPACE", "NAME", "NOTE"], ...removals.map(row)]));
    const pods = await meshedPods(client);
    if (pods.length > 0) print(remainingSidecars(new Set(pods.map(({ metadata }) => metadata.namespace ?? ""))));
    if (dryRun) return print(`${removals.length} objects would be removed`);
    if (!yes) await confirm(removals.length);
    let count = 0;
    const removed = () => {
      count++;
    };
    await uninstall(client, removals, { systemNamespace: namespace, removed, timeoutMs: PODS_GONE_MS });
    print(`${count} objects are removed`);
    if (purge) print(`the namespace stays, for what else is in it: kubectl delete namespace ${namespace}`);
  });
}

function row({ kind, namespace, name, note }: Removal): readonly string[] {
  return [kind, namespace, name, note];
}

function remainingSidecars(namespaces: ReadonlySet<string>): string {
  const where = [...namespaces].sort().join(", ");
  return `pods in ${where} have sidecars, whose certificates end within a day and are not renewed then: take the label off these namespaces and restart their workloads first`;
}

async function confirm(count: number): Promise<void> {
  if (!process.stdin.isTTY) throw new TrysailError("failed-precondition", "nobody can be asked here: give --yes");
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    const answer = await terminal.question(`remove these ${count} objects? (yes/no) `);
    if (answer.trim() !== "yes") throw new TrysailError("failed-precondition", "nothing was removed");
  } finally {
    terminal.close();
  }
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
