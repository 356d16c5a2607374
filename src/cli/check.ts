import { Command } from "commander";
import { openPodPort } from "../kubernetes/pod-port.ts";
import { type CheckLine, runChecks } from "../operations/check/check.ts";
import { checks } from "../operations/check/checks.ts";
import { systemClock } from "../platform/clock.ts";
import { type ClusterFlags, kubeconfigOption, withCluster } from "./cluster.ts";
import { outputOption } from "./output-flag.ts";
import { formatTable } from "./table.ts";

interface CheckFlags extends ClusterFlags {
  readonly namespace: string;
  readonly revision: string;
  readonly pre?: boolean;
  readonly output: "table" | "json";
}

/** `trysail check`: what is wrong with a cluster, and what to do; exits with 1 where a check fails. */
export function checkCommand(): Command {
  return new Command("check")
    .description("look for what is wrong with a cluster; exit 1 where a check fails, 0 with warnings alone")
    .addOption(kubeconfigOption())
    .option("--pre", "before the mesh is installed")
    .option("--namespace <name>", "where the control plane is, or will be", "trysail-system")
    .option("--revision <name>", "which control plane", "default")
    .addOption(outputOption())
    .action(check);
}

async function check({ namespace, revision, pre = false, output, ...flags }: CheckFlags): Promise<void> {
  const lines = await withCluster(flags, (client, source) =>
    runChecks(checks, {
      ...{ client, clock: systemClock, revision },
      isInstalled: !pre,
      systemNamespace: namespace,
      openPort: (address) => openPodPort(source, address),
    }),
  );
  process.stdout.write(`${output === "json" ? JSON.stringify(lines, null, 2) : checkTable(lines)}\n`);
  if (lines.some(({ status }) => status === "fail")) process.exitCode = 1;
}

const MARK = { pass: "✓", warn: "!", fail: "✗" } as const;

/** A line for each finding; what to do stands below what is not right. */
function checkTable(lines: readonly CheckLine[]): string {
  const rows = lines.flatMap((line) => {
    const row = [MARK[line.status], line.check, line.message];
    return line.status === "pass" ? [row] : [row, ["", "", `→ ${line.action}`]];
  });
  const count = (status: CheckLine["status"]) => lines.filter((line) => line.status === status).length;
  return `${formatTable(rows)}\n${count("pass")} passed, ${count("warn")} warnings, ${count("fail")} failed`;
}
