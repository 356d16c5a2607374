import { type ExecFileException, execFile } from "node:child_process";
import { TrysailError } from "../platform/errors.ts";

/** Runs a program to its end in the network namespace that is to be set up, and hands out what it printed. */
export type RunTool = (tool: string, args: readonly string[], input?: string) => Promise<string>;

/** The code of the error where the program is not there at all. */
export const TOOL_MISSING = "not-found";

/**
 * In this process's own network namespace, or in the one whose file `netns` is.
 *
 * @throws TrysailError from each run: `not-found` where the tool is missing, `failed-precondition` where it may not, or
 * refuses.
 */
export function createRunTool(netns?: string): RunTool {
  return (tool, args, input = "") =>
    new Promise((resolve, reject) => {
      const argv = netns === undefined ? [tool, ...args] : ["nsenter", `--net=${netns}`, "--", tool, ...args];
      const [program = tool, ...rest] = argv;
      const child = execFile(program, rest, { timeout: 60_000 }, (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(explain(tool, program, error, stderr));
      });
      // A tool that ends without reading says why on its standard error.
      child.stdin?.on("error", () => {});
      child.stdin?.end(input);
    });
}

function explain(tool: string, program: string, error: ExecFileException, stderr: string): TrysailError {
  const isMissing = error.code === "ENOENT" || (program !== tool && /failed to execute .*: No such file/.test(stderr));
  if (isMissing) {
    const missing = error.code === "ENOENT" ? program : tool;
    return new TrysailError(
      TOOL_MISSING,
      `${missing} was not found; the image must have the package ${packageOf(missing)}`,
      {
        cause: error,
      },
    );
  }
  const said = stderr.trim().replaceAll("\n", "; ") || error.message;
  const isDenied = /permission denied|operation not permitted|you must be root/i.test(said);
  const remedy = isDenied ? "; it needs root with the capabilities NET_ADMIN and NET_RAW" : "";
  return new TrysailError("failed-precondition", `${tool} failed: ${said}${remedy}`, { cause: error });
}

function packageOf(tool: string): string {
  return tool === "ip" ? "iproute2" : tool === "nsenter" ? "util-linux" : "iptables";
}
