import { existsSync, realpathSync, type Stats, statSync } from "node:fs";
import { chmod, chown, mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { ContainerPlan } from "./container-plan.ts";

const PASSABLE = 0o111;
const READABLE = 0o444;

/**
 * Makes a container's writable layer with all that must be in it before the root is put together: its own files, the
 * places of its mounts, and passable folders above what it must see. Written straight into the layer, because a mounted
 * overlay refuses to copy up folders whose owner a user namespace does not know.
 */
export async function prepareLayer(plan: ContainerPlan): Promise<void> {
  const upper = join(plan.folder, "upper");
  for (const name of ["upper", "work", "root"]) await mkdir(join(plan.folder, name), { recursive: true });
  for (const [path, content] of plan.files) {
    await placeFolder(upper, dirname(path));
    await writeFile(join(upper, path), content, { mode: 0o644 });
  }
  for (const { source, target } of plan.mounts) {
    if (!existsSync(source)) await mkdir(source, { recursive: true }); // a subPath that nobody made yet
    await placeTarget(upper, mountPoint(target), statSync(source));
  }
  for (const path of plan.visible) {
    // A checkout in a home folder is closed to other users, and a container may run as any.
    const found = statSync(path);
    await placeFolder(upper, dirname(path), PASSABLE);
    if (found.dev !== statSync("/").dev) await placeTarget(upper, path, found);
    else if (found.isDirectory()) await placeFolder(upper, path, PASSABLE | READABLE);
  }
}

/**
 * Where a mount lands: `/var/run/x` is `/run/x` where /var/run is a link. An absolute link followed from outside the
 * new root would lead out of it.
 */
export function mountPoint(path: string): string {
  let existing = path;
  for (;;) {
    try {
      return join(realpathSync(existing), path.slice(existing.length));
    } catch {
      existing = dirname(existing);
    }
  }
}

async function placeTarget(upper: string, path: string, source: Stats): Promise<void> {
  if (source.isDirectory()) return await placeFolder(upper, path);
  await placeFolder(upper, dirname(path));
  await writeFile(join(upper, path), "");
}

/** A folder and those above it in the layer, each as it is on this machine, with `moreRights` for all of them. */
async function placeFolder(upper: string, path: string, moreRights = 0): Promise<void> {
  const parts = path.split("/").filter((part) => part !== "");
  for (const [index] of parts.entries()) {
    const folder = `/${parts.slice(0, index + 1).join("/")}`;
    const own = join(upper, folder);
    const made = statIfThere(own);
    const like = made ?? statIfThere(folder);
    if (made === undefined) await mkdir(own);
    if (made === undefined && like !== undefined) await chown(own, like.uid, like.gid).catch(() => undefined);
    await chmod(
      own,
      ((like?.mode ?? 0o755) & 0o7777) | (index === parts.length - 1 ? moreRights : moreRights & PASSABLE),
    );
  }
}

function statIfThere(path: string): Stats | undefined {
  return statSync(path, { throwIfNoEntry: false });
}
