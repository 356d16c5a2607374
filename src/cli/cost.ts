import { Command } from "commander";
import type { ObjectCost, ProxyCost } from "../control-plane/cost-view.ts";
import { outputOption } from "./output-flag.ts";
import { callServer, type ServerFlags, withServerFlags } from "./server-call.ts";
import { formatTable } from "./table.ts";

interface CostFlags extends ServerFlags {
  readonly output: "table" | "json";
  readonly proxies?: boolean;
}

/** `trysail cost`: how much configuration each object brings to the proxies, or how much each proxy has. */
export function costCommand(): Command {
  const command = new Command("cost")
    .description("show how much configuration each object brings to the proxies, the most expensive first")
    .option("--proxies", "how much each proxy has, instead")
    .addOption(outputOption());
  return withServerFlags(command).action(showCost);
}

async function showCost({ proxies = false, output, ...server }: CostFlags): Promise<void> {
  const rows = await callServer(proxies ? "/debug/cost/proxies" : "/debug/cost", server);
  // What this same program wrote, of the same version or one that is close.
  const table = () => (proxies ? proxyTable(rows as readonly ProxyCost[]) : objectTable(rows as readonly ObjectCost[]));
  process.stdout.write(`${output === "json" ? JSON.stringify(rows, null, 2) : table()}\n`);
}

const TYPES = ["cluster", "endpoint", "listener", "route"] as const;
const COUNTED = ["CLUSTERS", "ENDPOINTS", "LISTENERS", "ROUTES"];

function objectTable(costs: readonly ObjectCost[]): string {
  if (costs.length === 0) return "no proxy is connected";
  const rows = costs.map(({ object, proxies, counts, bytes, bytesAtProxies }) => [
    ...(object.kind === "" ? ["", "", "(shared)"] : [object.namespace, object.kind, object.name]),
    String(proxies),
    ...TYPES.map((type) => String(counts[type] ?? 0)),
    String(bytes),
    String(bytesAtProxies),
  ]);
  const head = ["NAMESPACE", "KIND", "NAME", "PROXIES", ...COUNTED, "BYTES", "AT PROXIES"];
  return formatTable([head, ...rows]);
}

function proxyTable(costs: readonly ProxyCost[]): string {
  if (costs.length === 0) return "no proxy is connected";
  const rows = costs.map(({ proxy, counts, bytes }) => [
    proxy,
    ...TYPES.map((type) => String(counts[type] ?? 0)),
    String(bytes),
  ]);
  return formatTable([["PROXY", ...COUNTED, "BYTES"], ...rows]);
}
