import { statSync } from "node:fs";
import { join } from "node:path";
import { mountPoint } from "./container-layer.ts";
import type { ContainerPlan, Mount } from "./container-process.ts";

/** The last word of a start script whose every step worked. */
export const SET_UP = "set-up";

/**
 * The steps inside the new mount namespace. `$R` is the container's root. Order matters: the layer first, then kernel
 * file systems, then volumes, read-only last. What goes wrong is written to descriptor 3, which is closed when the
 * command takes over.
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
    ...plan.mounts.flatMap(bindMount),
    `hostname ${quote(plan.hostname)} || echo ${quote(plan.hostname)} >/proc/sys/kernel/hostname`,
    ...(plan.readOnlyRoot ? (plan.layerPerFolder ? READ_ONLY_PER_FOLDER : ['mount -o remount,ro "$R"']) : []),
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
  const place = `"$R"${quote(mountPoint(target))}`;
  return [`mount --bind ${quote(source)} ${place}`, ...(readOnly ? [`mount -o remount,bind,ro ${place}`] : [])];
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
