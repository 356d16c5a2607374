import { type ExecFileException, execFile } from "node:child_process";
import { TrysailError } from "../platform/errors.ts";
import { type AddressFamily, buildRemoval, natTransaction } from "./interception.ts";

const prefix: Readonly<Record<AddressFamily, string>> = { ipv4: "iptables", ipv6: "ip6tables" };

/**
 * Puts `rules` in place of the ones an earlier run left, in one transaction, in the network namespace of this
 * process. With no rules, takes those away.
 *
 * @throws TrysailError `failed-precondition` where the tool is missing, may not, or refuses.
 */
export async function applyRules(rules: readonly string[], family: AddressFamily): Promise<void> {
  const saved = await run(`${prefix[family]}-save`, ["-t", "nat"]);
  const transaction = natTransaction(buildRemoval(saved), rules);
  await run(`${prefix[family]}-restore`, ["--noflush", "--wait=30"], transaction);
}

function run(tool: string, args: readonly string[], input = ""): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(tool, args, { timeout: 60_000 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new TrysailError("failed-precondition", explain(tool, error, stderr), { cause: error }));
    });
    // A tool that ends without reading says why on its standard error.
    child.stdin?.on("error", () => {});
    child.stdin?.end(input);
  });
}

function explain(tool: string, error: ExecFileException, stderr: string): string {
  if (error.code === "ENOENT") return `${tool} was not found; the init image must have the package iptables`;
  const said = stderr.trim().replaceAll("\n", "; ") || error.message;
  const isDenied = /permission denied|operation not permitted|you must be root/i.test(said);
  const remedy = isDenied ? "; it needs root with the capabilities NET_ADMIN and NET_RAW" : "";
  return `${tool} failed: ${said}${remedy}`;
}
