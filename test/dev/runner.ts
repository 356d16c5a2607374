import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("../../src/cli/trysail.ts", import.meta.url));

/** A pod as the runner writes it for the control plane. */
export interface PodObject {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
  readonly status: {
    readonly phase: string;
    readonly podIP: string;
    readonly conditions: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses: readonly {
      readonly name: string;
      readonly ready: boolean;
      readonly restartCount: number;
      readonly state: { readonly waiting?: { readonly reason: string } };
    }[];
  };
}

/** The head of a program that `trysail dev … -- PROGRAM` runs on the node: `ip(APP)` is the address of the pod with that label. */
export const FIND_PODS = `
import { readdirSync, readFileSync } from "node:fs";
const folder = process.env.TRYSAIL_STATE + "/objects/";
const pods = readdirSync(folder).filter((file) => file.startsWith("pod_")).map((file) => JSON.parse(readFileSync(folder + file)));
const ip = (app) => pods.find(({ metadata }) => metadata.labels?.app === app).status.podIP;
`;

/** A folder of manifests with its state folder, and `trysail dev` on it. All ends with the test. */
export interface DevFolder {
  readonly folder: string;
  readonly state: string;
  /** In the environment of every process of a run, containers too where their manifests say so. */
  readonly mark: string;
  write(file: string, text: string): void;
  start(...flags: string[]): DevRun;
  startOn(folder: string, ...flags: string[]): DevRun;
  pods(app: string): PodObject[];
}

export interface DevRun {
  readonly child: ChildProcess;
  readonly exited: Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>;
  /** What it printed so far. */
  output(): string;
}

export function createDevFolder(t: TestContext): DevFolder {
  const root = mkdtempSync(join(tmpdir(), "trysail-dev-"));
  const folder = mkdtempSync(join(root, "manifests-"));
  const state = join(root, "state");
  const mark = randomUUID();
  const runs: DevRun[] = [];
  const startOn = (on: string, ...flags: string[]) => {
    const run = startRun([on, "--state-dir", state, ...flags], mark);
    runs.push(run);
    return run;
  };
  t.after(async () => {
    for (const { child, exited } of runs) {
      child.kill("SIGKILL");
      await exited;
    }
    rmSync(root, { recursive: true, force: true });
  });
  return {
    folder,
    state,
    mark,
    write: (file, text) => writeFileSync(join(folder, file), text),
    start: (...flags) => startOn(folder, ...flags),
    startOn,
    pods(app) {
      const objects = join(state, "objects");
      return readdirSync(objects)
        .filter((file) => file.startsWith("pod_") && file.endsWith(".json"))
        .map((file): PodObject => JSON.parse(readFileSync(join(objects, file), "utf8")))
        .filter(({ metadata }) => metadata.labels?.app === app);
    },
  };
}

function startRun(args: readonly string[], mark: string): DevRun {
  const child = spawn(process.execPath, [program, "dev", ...args], {
    env: { ...process.env, TRYSAIL_TEST_MARK: mark },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => {
    stdout += chunk.toString("utf8");
  });
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk.toString("utf8");
  });
  const exited = new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
    child.once("close", (code) => resolve({ code, stdout, stderr }));
  });
  return { child, exited, output: () => stdout + stderr };
}

export function isReady(pod: PodObject): boolean {
  return pod.status.conditions.some(({ type, status }) => type === "Ready" && status === "True");
}

/** Command lines of all processes that carry the mark. */
export function processesWith(mark: string): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      const environment = readIfThere(`/proc/${pid}/environ`);
      return environment.includes(mark) ? [`${pid} ${readIfThere(`/proc/${pid}/cmdline`).replaceAll("\0", " ")}`] : [];
    });
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** What a run might leave on the machine: interfaces, mounts, named network namespaces. */
export function machineState(): { interfaces: string[]; mounts: string[]; namespaces: string[] } {
  return {
    interfaces: readdirSync("/sys/class/net").sort(),
    mounts: readFileSync("/proc/mounts", "utf8").split("\n").sort(),
    namespaces: list("/run/netns"),
  };
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}
