import { spawn } from "node:child_process";
import { TrysailError } from "../platform/errors.ts";
import { printable } from "../platform/printable.ts";
import { logFileOf } from "./build-container-plan.ts";
import { describeChanges } from "./live-table.ts";
import { lastLines } from "./log-files.ts";
import type { Node } from "./node.ts";
import type { DevOptions } from "./options.ts";
import type { PodStatus } from "./pod-status.ts";
import { type StatePaths, statePaths } from "./state-folder.ts";

/** How long proxies of pods that are ready may take for the endpoints of the last one. */
const FOLLOW_MS = 10_000;

/** Waits until all is ready and proxies know of it, runs the command, and answers with its exit code. Rejects where a pod does not come up. */
export async function runOnce(options: DevOptions, node: Node, stop: AbortSignal): Promise<number> {
  const paths = statePaths(options.stateDir);
  const begin = performance.now();
  let before = new Map<string, string>();
  node.cluster.onChange(() => {
    const { lines, now } = describeChanges(before, node.cluster.pods());
    before = now;
    for (const line of lines) process.stderr.write(`${line}\n`);
  });
  node.onProblem((message) => process.stderr.write(`trysail: ${printable(message)}\n`));
  await allReady(options, node, paths, stop);
  if (stop.aborted) return 130;
  await node.flush();
  for (const line of errorLines(node)) process.stderr.write(`${line}\n`);
  const count = node.cluster.pods().length;
  const behind = await node.followed(FOLLOW_MS, stop);
  if (stop.aborted) return 130;
  if (behind.length > 0) {
    const names = behind.join(", ");
    process.stderr.write(`trysail: ${printable(`not every proxy has the last configuration: ${names}`)}\n`);
  }
  process.stderr.write(`all ${count} pods are ready after ${((performance.now() - begin) / 1000).toFixed(1)} s\n`);
  return options.command.length === 0 ? 0 : await runCommand(options, paths, stop);
}

function allReady(options: DevOptions, node: Node, paths: StatePaths, stop: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    let decided = false;
    const fail = (why: string) => {
      decided = true;
      describeTrouble(node, paths).then(
        (lines) => reject(new TrysailError("unavailable", [why, ...lines].join("\n"))),
        reject,
      );
    };
    const timer = setTimeout(
      () => fail(`not every pod was ready in ${options.readyTimeoutMs / 1000} s`),
      options.readyTimeoutMs,
    );
    const settle = () => {
      decided = true;
      clearTimeout(timer);
      resolve();
    };
    const look = () => {
      if (decided) return;
      if (stop.aborted || node.cluster.settled()) return settle();
      // Nothing but an edit of images.yaml can help here.
      if (node.cluster.pods().some((pod) => pod.reason.endsWith("ImageNotMapped"))) {
        clearTimeout(timer);
        fail("a container has no image on this machine");
      }
    };
    stop.addEventListener("abort", look);
    node.cluster.onChange(look);
    look();
  });
}

const TAIL = 5;

/** Every pod that is not ready: why, and the last lines its containers wrote. */
async function describeTrouble(node: Node, paths: StatePaths): Promise<string[]> {
  const lines = errorLines(node).map((line) => `  ${line}`);
  for (const pod of node.cluster.pods()) {
    if (pod.ready || pod.phase === "Succeeded") continue;
    lines.push(`  ${pod.namespace}/${pod.name}: ${pod.reason}${pod.message === "" ? "" : `: ${pod.message}`}`);
    for (const container of unready(pod)) {
      const tail = await lastLines(logFileOf(paths.logs, pod.namespace, pod.name, container), TAIL);
      for (const line of tail) lines.push(`    ${container} | ${line}`);
    }
  }
  return lines;
}

/** What of the folder is not used, and what proxies refuse. */
function errorLines(node: Node): string[] {
  return node.findings().filter((line) => line.startsWith("error: "));
}

function unready(pod: PodStatus): string[] {
  const over = ({ state }: PodStatus["containers"][number]) => state.kind === "terminated" && state.exitCode === 0;
  return [...pod.initContainers, ...pod.containers]
    .filter((status) => !status.ready && !over(status))
    .map(({ name }) => name);
}

function runCommand(options: DevOptions, paths: StatePaths, stop: AbortSignal): Promise<number> {
  const [command = "", ...args] = options.command;
  const { NODE_COMPILE_CACHE: _, ...env } = process.env; // the runner's own
  const child = spawn(command, args, {
    stdio: ["ignore", "inherit", "inherit"],
    env: {
      ...env,
      TRYSAIL_DIR: options.folder,
      TRYSAIL_STATE: paths.root,
      TRYSAIL_HTTP: "http://127.0.0.1:8080",
      TRYSAIL_ADMIN_TOKEN_FILE: paths.adminToken,
    },
  });
  stop.addEventListener("abort", () => child.kill("SIGTERM"));
  return new Promise((resolve, reject) => {
    child.once("error", (error) =>
      reject(new TrysailError("invalid-argument", `cannot run ${command}: ${error.message}`)),
    );
    child.once("exit", (code) => resolve(code ?? 130));
  });
}
