import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, fchmodSync, openSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { TrysailError } from "../platform/errors.ts";
import { prepareLayer } from "./container-layer.ts";
import type { ContainerPlan } from "./container-plan.ts";
import { buildStartScript, SET_UP } from "./start-script.ts";

/** Where the start script's own tools are looked for, whatever PATH the container asks for. */
const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export interface Exit {
  readonly code: number;
  readonly signal: NodeJS.Signals | null;
}

export interface ContainerProcess {
  readonly pid: number;
  readonly exited: Promise<Exit>;
  /** To the main process only, as a container runtime does. */
  signal(signal: NodeJS.Signals): void;
  /** Everything the container started. */
  kill(): void;
  /** Runs a command inside the container, as its user. Output is cut at 4 kB. */
  exec(argv: readonly string[], timeoutMs: number): Promise<{ code: number | null; output: string }>;
}

/**
 * Starts a container: a mount namespace whose root is this machine's root under a writable layer of its own, the pod's
 * network, then the command with exactly the privileges it asks for. Every step replaces the one before (exec), so the
 * process id is the command's own and signals reach it. Resolves when the command itself is about to run; rejects with
 * the words of the step that failed.
 */
export async function startContainer(plan: ContainerPlan): Promise<ContainerProcess> {
  const script = join(plan.folder, "start.sh");
  await prepareLayer(plan);
  await writeFile(script, buildStartScript(plan));
  const child = spawnScript(plan, script);
  const exited = new Promise<Exit>((resolve) => {
    child.once("error", () => resolve({ code: 127, signal: null }));
    child.once("exit", (code, signal) => resolve({ code: code ?? 128, signal }));
  });
  const { pid } = child;
  if (pid === undefined) throw new TrysailError("internal", "cannot start nsenter");
  void exited.then(() => signalGroup(pid, "SIGKILL")); // children outlive no container
  const report = await reportOf(child);
  if (report !== SET_UP) {
    await exited;
    throw new TrysailError("internal", `the container cannot be set up: ${report === "" ? "it was ended" : report}`);
  }
  return {
    pid,
    exited,
    signal: (signal) => void child.kill(signal),
    kill: () => signalGroup(pid, "SIGKILL"),
    exec: (argv, timeoutMs) => execInside(pid, plan, argv, timeoutMs),
  };
}

function spawnScript(plan: ContainerPlan, script: string): ChildProcess {
  const log = openSync(plan.logFile, "a", 0o666);
  try {
    fchmodSync(log, 0o666); // the container's user opens /dev/stdout again by its path
    return spawn("nsenter", [`--net=${plan.netns}`, "unshare", "--mount", "--uts", "sh", script, ...plan.argv], {
      cwd: "/",
      detached: true,
      env: { ...Object.fromEntries(plan.env), PATH: SYSTEM_PATH },
      stdio: ["ignore", log, log, "pipe"],
    });
  } finally {
    closeSync(log);
  }
}

/** What the start script said before it handed over to the command, or ended. */
async function reportOf(child: ChildProcess): Promise<string> {
  const pipe = child.stdio[3];
  if (!(pipe instanceof Readable)) return "";
  const said = await text(pipe).catch(() => "");
  const lines = said.split("\n").filter((line) => line.trim() !== "" && !line.includes("dmesg(1)"));
  return lines.at(-1) ?? "";
}

function execInside(pid: number, plan: ContainerPlan, argv: readonly string[], timeoutMs: number) {
  const enter = ["--target", String(pid), "--mount", "--net", "--uts", "--root", "--wd"];
  const child = spawn("nsenter", [...enter, "setpriv", ...plan.privileges, "--", ...argv], {
    detached: true,
    env: Object.fromEntries(plan.env),
    stdio: ["ignore", "pipe", "pipe"],
  });
  return new Promise<{ code: number | null; output: string }>((resolve) => {
    let output = "";
    const collect = (chunk: Buffer) => {
      if (output.length < 4096) output = (output + chunk.toString("utf8")).slice(0, 4096);
    };
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
    const timer = setTimeout(() => {
      if (child.pid !== undefined) signalGroup(child.pid, "SIGKILL");
      output = `timed out after ${timeoutMs} ms`;
    }, timeoutMs);
    child.once("error", (error) => resolve({ code: null, output: error.message }));
    child.once("close", (code) => {
      clearTimeout(timer);
      resolve({ code, output: output.trim() });
    });
  });
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // the group is gone already
  }
}
