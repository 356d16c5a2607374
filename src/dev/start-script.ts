import { statSync } from "node:fs";
import { join } from "node:path";
import { mountPoint } from "./container-layer.ts";
import type { ContainerPlan, Mount } from "./container-plan.ts";

/** The last word of a start script whose every step worked. */
export const SET_UP = "set-up";

/**
 * The steps inside the new mount namespace. `$R` is the container's root. Order matters: the layer first, then kernel
 * file systems, then volumes, then the masks, which cover what a volume brought to their place as well, read-only last.
 * What goes wrong is written to descriptor 3, which is closed when the command takes over.
 */
export function buildStartScript(plan: ContainerPlan): string {
  const part = (name: string) => quote(join(plan.folder, name));
  const lines = [
    "set -eu",
    "exec 4>&2 2>&3",
    `R=${part("root")} U=${part("upper")} W=${part("work")}`,
    ...(plan.layerPerFolder
      ? LAYER_PER_FOLDER
      : ['mount -t overlay overlay -o "lowerdir=/,upperdir=$U,workdir=$W" "$R"']),
    'mount --rbind /proc "$R/proc"',
    'mount --rbind /dev "$R/dev"',
    `mount --bind ${quote(plan.sharedMemory)} "$R/dev/shm" || :`,
    'mount -t sysfs sysfs "$R/sys" || mount --rbind /sys "$R/sys"',
    ...plan.visible.flatMap(bindFromOtherDisk),
    ...plan.mounts.filter((mount) => !isMasked(plan, mount)).flatMap(bindMount),
    ...mask(plan),
    `hostname ${quote(plan.hostname)} || echo ${quote(plan.hostname)} >/proc/sys/kernel/hostname`,
    ...(plan.readOnlyRoot ? (plan.layerPerFolder ? READ_ONLY_PER_FOLDER : ['mount -o remount,ro "$R"']) : []),
    ...LEAVE_MACHINE_ROOT,
    "S=$(command -v setpriv)",
    "umask 022",
    `echo ${SET_UP} >&3`,
    "exec 2>&4 3>&- 4>&-",
    `exec chroot "$R" env --unset=PWD --chdir=${quote(plan.workingDir)} ${lateVariables(plan.env)} "$S" ${plan.privileges.map(quote).join(" ")} -- "$@"`,
  ];
  return `${lines.join("\n")}\n`;
}

/**
 * In a user namespace / has mounts below it that may not be looked behind, so it cannot be a lower folder as a whole.
 * Its folders can, each under a part of the layer; one with such mounts itself is bound as it is.
 */
const LAYER_PER_FOLDER = [
  'mount --bind "$R" "$R"',
  "for d in /*; do",
  '  if [ -L "$d" ]; then cp -P "$d" "$R$d"; continue; fi',
  '  [ -d "$d" ] || continue',
  '  mkdir -p "$R$d" "$W$d"',
  '  case "$d" in /proc|/sys|/dev) continue;; esac',
  '  [ -d "$U$d" ] || { mkdir "$U$d"; chmod --reference="$d" "$U$d"; }',
  '  mount -t overlay overlay -o "lowerdir=$d,upperdir=$U$d,workdir=$W$d,userxattr" "$R$d" 2>/dev/null || mount --rbind "$d" "$R$d"',
  "done",
  // Places of mounts that this machine has nothing at.
  'for p in "$U"/*; do',
  '  d="/$(basename "$p")"',
  '  [ ! -e "$R$d" ] || continue',
  '  if [ -d "$p" ]; then mkdir "$R$d"; mount --bind "$p" "$R$d"; else : >"$R$d"; fi',
  "done",
];

const READ_ONLY_PER_FOLDER = [
  'for d in /*; do case "$d" in /proc|/sys|/dev) continue;; esac; [ -L "$d" ] || [ ! -d "$d" ] || mount -o remount,ro "$R$d" || :; done',
  'mount -o remount,bind,ro "$R"',
];

/**
 * The machine's root goes from the mount namespace, lest a process with CAP_SYS_CHROOT climb out to it. It is parked on
 * top of /sys for a moment, a place that is always there. A root that came from an initial RAM disk cannot be moved.
 */
const LEAVE_MACHINE_ROOT = ['if pivot_root "$R" "$R/sys" 2>/dev/null; then R=/; umount -l /sys; fi'];

/** PATH, and variables whose names a POSIX shell drops from its environment (`my.name`), are handed over by `env`. */
function lateVariables(env: ReadonlyMap<string, string>): string {
  const late = [...env].filter(([name]) => name === "PATH" || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name));
  return late.map(([name, value]) => quote(`${name}=${value}`)).join(" ");
}

/** What lies on another disk than / is not part of the layer below the root. */
function bindFromOtherDisk(path: string): string[] {
  if (statSync(path).dev === statSync("/").dev) return [];
  const target = `"$R"${quote(path)}`;
  return [`mount --bind ${quote(path)} ${target}`, `mount -o remount,bind,ro ${target} || :`];
}

function bindMount({ source, target, readOnly }: Mount): string[] {
  const place = inRoot(target);
  return [`mount --bind ${quote(source)} ${place}`, ...(readOnly ? [`mount -o remount,bind,ro ${place}`] : [])];
}

/** Empty folders over what the container may not see, with the mounts that it has of its own below them. */
function mask(plan: ContainerPlan): string[] {
  const below = plan.mounts.filter((mount) => isMasked(plan, mount));
  const where = (command: string) =>
    plan.masked.map((path) => `if [ -d ${inRoot(path)} ]; then mount ${command} ${inRoot(path)}; fi`);
  return [
    ...where("-t tmpfs -o mode=755 mask"),
    ...below.map(({ source, target }) => makePlace(source, inRoot(target))),
    ...where("-o remount,bind,ro"),
    ...below.flatMap(bindMount),
  ];
}

function isMasked({ masked }: ContainerPlan, { target }: Mount): boolean {
  const place = mountPoint(target);
  return masked.some((path) => `${place}/`.startsWith(`${mountPoint(path)}/`));
}

/** A mount's place in the layer is below the mask, so it needs another. */
function makePlace(source: string, place: string): string {
  return `if [ -d ${quote(source)} ]; then mkdir -p ${place}; else mkdir -p "$(dirname ${place})"; : >${place}; fi`;
}

function inRoot(path: string): string {
  return `"$R"${quote(mountPoint(path))}`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
