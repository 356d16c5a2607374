import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, fchmodSync, openSync, realpathSync, statSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { TrysailError } from "../platform/errors.ts";

/** Where the start script's own tools are looked for, whatever PATH the container asks for. */
const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** One mount of a volume (or of a file of it) into a container. */
export interface Mount {
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
}

/** Everything the start of one container needs; no Kubernetes in it. */
export interface ContainerPlan {
  readonly argv: readonly string[];
  readonly env: ReadonlyMap<string, string>;
  readonly workingDir: string;
  readonly hostname: string;
  /** Path of the pod's network namespace. */
  readonly netns: string;
  readonly mounts: readonly Mount[];
  /** Files the container sees instead of this machine's own: absolute path → content. */
  readonly files: ReadonlyMap<string, string>;
  /** The pod's /dev/shm. */
  readonly sharedMemory: string;
  /** Paths of this machine which must be readable inside, whatever user the container runs as. */
  readonly visible: readonly string[];
  readonly readOnlyRoot: boolean;
  /** Arguments of setpriv, by `privileges()`. */
  readonly privileges: readonly string[];
  /** A fresh folder on a tmpfs for the container's writable layer. */
  readonly folder: string;
  readonly logFile: string;
}

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
 * process id is the command's own and signals reach it.
 */
export async function startContainer(plan: ContainerPlan): Promise<ContainerProcess> {
  const script = join(plan.folder, "start.sh");
  await prepareLayer(plan);
  await writeFile(script, startScript(plan));
  const log = openSync(plan.logFile, "a", 0o666);
  let child: ChildProcess;
  try {
    fchmodSync(log, 0o666); // the container's user opens /dev/stdout again by its path
    child = spawn("nsenter", [`--net=${plan.netns}`, "unshare", "--mount", "--uts", "sh", script, ...plan.argv], {
      cwd: "/",
      detached: true,
      env: { ...Object.fromEntries(plan.env), PATH: SYSTEM_PATH },
      stdio: ["ignore", log, log],
    });
  } finally {
    closeSync(log);
  }
  const exited = new Promise<Exit>((resolve) => {
    child.once("error", () => resolve({ code: 127, signal: null }));
    child.once("exit", (code, signal) => resolve({ code: code ?? 128, signal }));
  });
  const { pid } = child;
  if (pid === undefined) throw new TrysailError("internal", "cannot start nsenter");
  void exited.then(() => signalGroup(pid, "SIGKILL")); // children outlive no container
  return {
    pid,
    exited,
    signal: (signal) => void child.kill(signal),
    kill: () => signalGroup(pid, "SIGKILL"),
    exec: (argv, timeoutMs) => execInside(pid, plan, argv, timeoutMs),
  };
}

/** The writable layer, with what must be in it before the root is put together. */
async function prepareLayer(plan: ContainerPlan): Promise<void> {
  const upper = join(plan.folder, "upper");
  for (const name of ["upper", "work", "root"]) await mkdir(join(plan.folder, name), { recursive: true, mode: 0o755 });
  for (const [path, content] of plan.files) {
    await mkdir(join(upper, dirname(path)), { recursive: true, mode: 0o755 });
    await writeFile(join(upper, path), content, { mode: 0o644 });
  }
  for (const { source } of plan.mounts) {
    if (!existsSync(source)) await mkdir(source, { recursive: true }); // a subPath that nobody made yet
  }
}

/**
 * The steps inside the new mount namespace. `$R` is the container's root. Relative order matters: the layer first, then
 * kernel file systems, then volumes, read-only last.
 */
export function startScript(plan: ContainerPlan): string {
  const root = join(plan.folder, "root");
  const lines = [
    "set -eu",
    `R=${quote(root)}`,
    `O=lowerdir=/,upperdir=${quote(join(plan.folder, "upper"))},workdir=${quote(join(plan.folder, "work"))}`,
    // In a user namespace an overlay keeps its marks in user.* attributes; a plain root may not set that option.
    'mount -t overlay overlay -o "$O" "$R" 2>/dev/null || mount -t overlay overlay -o "$O,userxattr" "$R"',
    'mount --rbind /proc "$R/proc"',
    'mount --rbind /dev "$R/dev"',
    `mount --bind ${quote(plan.sharedMemory)} "$R/dev/shm" 2>/dev/null || :`,
    'mount -t sysfs sysfs "$R/sys" 2>/dev/null || mount --rbind /sys "$R/sys"',
    "umask 022",
    ...visibleSteps(plan.visible),
    ...plan.mounts.flatMap(mountSteps),
    `echo ${quote(plan.hostname)} > /proc/sys/kernel/hostname`,
    ...(plan.readOnlyRoot ? ['mount -o remount,ro "$R"'] : []),
    "S=$(command -v setpriv)",
    `exec chroot "$R" env --unset=PWD --chdir=${quote(plan.workingDir)} ${lateVariables(plan.env)} "$S" ${plan.privileges.map(quote).join(" ")} -- "$@"`,
  ];
  return `${lines.join("\n")}\n`;
}

/** PATH, and variables whose names a POSIX shell drops from its environment (`my.name`), are handed over by `env`. */
function lateVariables(env: ReadonlyMap<string, string>): string {
  const late = [...env].filter(([name]) => name === "PATH" || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name));
  return late.map(([name, value]) => quote(`${name}=${value}`)).join(" ");
}

/**
 * A checkout in a home folder is closed to other users, and one on another disk is not part of the root's overlay. So
 * inside the layer the folders above may be passed by all, and what lies on another disk is bound.
 */
function visibleSteps(paths: readonly string[]): string[] {
  const rootDevice = statSync("/").dev;
  const steps = new Set<string>();
  for (const path of paths) {
    for (const ancestor of ancestors(path)) {
      if ((statSync(ancestor).mode & 0o001) === 0) steps.add(`chmod a+x "$R"${quote(ancestor)}`);
    }
    if (statSync(path).dev === rootDevice) continue;
    const target = `"$R"${quote(path)}`;
    steps.add(
      statSync(path).isDirectory() ? `mkdir -p ${target}` : `mkdir -p "$R"${quote(dirname(path))}; : >> ${target}`,
    );
    steps.add(`mount --bind ${quote(path)} ${target}; mount -o remount,bind,ro ${target} 2>/dev/null || :`);
  }
  return [...steps];
}

function ancestors(path: string): string[] {
  const parts = path.split("/").filter((part) => part !== "");
  return parts.slice(0, -1).map((_, index) => `/${parts.slice(0, index + 1).join("/")}`);
}

function mountSteps(mount: Mount): string[] {
  const target = `"$R"${quote(resolveTarget(mount.target))}`;
  const prepare = statSync(mount.source).isDirectory()
    ? `mkdir -p ${target}`
    : `mkdir -p "$R"${quote(dirname(resolveTarget(mount.target)))}; [ -e ${target} ] || : > ${target}`;
  const bind = `mount --bind ${quote(mount.source)} ${target}`;
  return [prepare, bind, ...(mount.readOnly ? [`mount -o remount,bind,ro ${target}`] : [])];
}

/** `/var/run/x` → `/run/x` where /var/run is a link: an absolute link must not be followed out of the new root. */
function resolveTarget(path: string): string {
  let existing = path;
  for (;;) {
    try {
      return join(realpathSync(existing), path.slice(existing.length));
    } catch {
      existing = dirname(existing);
    }
  }
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

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
