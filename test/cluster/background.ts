import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Cleanup } from "../support/cleanup.ts";

export interface BackgroundProcess {
  /** Throws, with the end of the log, where the process has ended. */
  assertRunning(): void;
  logTail(): string;
  /** `SIGSTOP` lets it hang, with its connections open, until `SIGCONT`. */
  signal(name: "SIGSTOP" | "SIGCONT"): void;
  /** Kills it; resolves once it has ended. */
  kill(): Promise<void>;
}

/** Starts a program that writes its log into `folder`, and kills it behind the test: its state goes too. */
export function startProcess(
  t: Cleanup,
  { name, program, args, folder }: { name: string; program: string; args: readonly string[]; folder: string },
): BackgroundProcess {
  const log = join(folder, `${name}.log`);
  const file = openSync(log, "a");
  const child = spawn(program, args, { cwd: folder, stdio: ["ignore", file, file] });
  closeSync(file);
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  const kill = () => {
    if (isRunning(child)) child.kill("SIGKILL");
  };
  // Where the whole test process is ended early, its hooks do not run any more.
  process.once("exit", kill);
  t.after(async () => {
    process.off("exit", kill);
    kill();
    await ended;
  });
  const logTail = () => readFileSync(log, "utf8").slice(-3000);
  return {
    logTail,
    signal(name) {
      child.kill(name);
    },
    async kill() {
      kill();
      await ended;
    },
    assertRunning() {
      if (!isRunning(child)) throw new Error(`${name} ended:\n${logTail()}`);
    },
  };
}

function isRunning({ pid, exitCode, signalCode }: ChildProcess): boolean {
  return pid !== undefined && exitCode === null && signalCode === null;
}
