import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { basename, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { TrysailError } from "../platform/errors.ts";
import { openStateDir } from "../platform/state-dir.ts";

/** Where a run keeps what is not the user's: made by one run at a time. */
export interface StatePaths {
  readonly root: string;
  readonly objects: string;
  readonly logs: string;
  readonly controlPlane: string;
  readonly claims: string;
  readonly report: string;
  readonly adminToken: string;
  readonly rootCertificate: string;
  readonly run: string;
  /** Node's compiled code, for processes that start often. */
  readonly compileCache: string;
}

export function statePaths(root: string): StatePaths {
  return {
    root,
    objects: join(root, "objects"),
    logs: join(root, "logs"),
    controlPlane: join(root, "control-plane"),
    claims: join(root, "claims"),
    report: join(root, "report.json"),
    adminToken: join(root, "admin-token"),
    rootCertificate: join(root, "control-plane", "ca", "root-cert.pem"),
    run: join(root, "run.json"),
    compileCache: join(root, "compile-cache"),
  };
}

/** One folder per user and manifest folder, outside the manifests, so that it is neither read nor committed with them. */
export function defaultStateDir(folder: string, stateHome: string): string {
  const hash = createHash("sha256").update(resolve(folder)).digest("hex").slice(0, 8);
  return join(stateHome, "trysail", "dev", `${basename(resolve(folder))}-${hash}`);
}

/**
 * Takes the folder for this run and clears what the last one left: processes of a run that was killed, objects, logs.
 * The mesh's keys and claims stay. Throws `failed-precondition` where another run has it.
 */
export async function takeStateFolder(path: string): Promise<StatePaths> {
  const { path: root } = await openStateDir(path);
  await lock(root);
  const paths = statePaths(root);
  await endDeadRun(paths.run);
  for (const left of [paths.objects, paths.logs, paths.report, paths.adminToken])
    await rm(left, { recursive: true, force: true });
  for (const folder of [paths.objects, paths.logs, paths.claims, paths.compileCache])
    await mkdir(folder, { mode: 0o700, recursive: true });
  return paths;
}

/** Remembers the process whose end ends the run, for a start after a `kill -9`. */
export async function recordRun(paths: StatePaths, pid: number): Promise<void> {
  await writeFile(paths.run, JSON.stringify({ pid, startTime: startTimeOf(pid) }), { mode: 0o600 });
}

/** An abstract socket: the kernel frees it with its process, however that ends. */
async function lock(root: string): Promise<void> {
  const name = createHash("sha256").update(root).digest("hex").slice(0, 32);
  const server = createServer().listen(`\0trysail-dev-${name}`);
  try {
    await once(server, "listening");
  } catch {
    throw new TrysailError(
      "failed-precondition",
      `another trysail dev runs with the state folder ${root}: end it, or name another with --state-dir`,
    );
  }
  server.unref();
}

async function endDeadRun(file: string): Promise<void> {
  if (!existsSync(file)) return;
  const text = await readFile(file, "utf8");
  const [, pid, startTime] = /"pid":(\d+),"startTime":"(\d+)"/.exec(text) ?? [];
  const id = Number(pid);
  // The start time tells our process from a later one with the same number.
  while (id > 1 && startTime !== undefined && startTimeOf(id) === startTime) {
    process.kill(id, "SIGKILL");
    await sleep(20);
  }
  await rm(file, { force: true });
}

/** Clock ticks since boot, field 22 of /proc/PID/stat; undefined where there is no such process, or only its remains. */
function startTimeOf(pid: number): string | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
      .replace(/^.*\) /s, "")
      .split(" ");
    return fields[0] === "Z" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}
