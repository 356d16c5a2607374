import { chmod, chown, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Clock } from "../platform/clock.ts";
import type { ConfigLookup } from "./environment.ts";
import { type RunningPod, serviceAccountOf } from "./running-pod.ts";
import { planVolume, type TokenRequest, type VolumeFile } from "./volume-content.ts";

/** Mints a service account token bound to a pod. */
export type MintToken = (request: {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly pod: { readonly name: string; readonly uid: string };
  readonly audience?: string;
  readonly ttlMs: number;
}) => Promise<string>;

export interface VolumeDeps {
  readonly clock: Clock;
  readonly mintToken: MintToken;
  readonly lookup: ConfigLookup;
  /** Where claims are kept by name, beyond a pod's life. */
  readonly claimsFolder: string;
}

/** A pod's volumes as folders of this machine, by volume name; files are replaced whole, by rename. */
export interface VolumeFolders {
  readonly paths: ReadonlyMap<string, string>;
  /** Writes again what ConfigMaps and Secrets changed. A source that went away leaves the old files. */
  refresh(): Promise<void>;
  stop(): void;
}

/** Tokens are renewed when this share of their life has passed, as a kubelet does. */
const RENEW_AT = 0.8;
const RETRY_MS = 5_000;

/** Creates every volume of `pod` below `folder`; rejects as `planVolume` throws. */
export async function createVolumeFolders(deps: VolumeDeps, pod: RunningPod, folder: string): Promise<VolumeFolders> {
  const paths = new Map<string, string>();
  const renewals = new Map<string, () => void>();
  const fsGroup = pod.manifest.spec.securityContext?.fsGroup;
  let stopped = false;

  async function writeToken(root: string, file: VolumeFile, request: TokenRequest): Promise<void> {
    const { name, namespace, uid } = pod;
    const owner = { namespace, serviceAccount: serviceAccountOf(pod), pod: { name, uid } };
    const token = await deps.mintToken({ ...owner, ...request });
    await replaceFile(join(root, file.path), Buffer.from(token), file.mode, fsGroup);
    if (!stopped) renewIn(request.ttlMs * RENEW_AT, root, file, request);
  }

  function renewIn(delayMs: number, root: string, file: VolumeFile, request: TokenRequest): void {
    const run = () => void writeToken(root, file, request).catch(() => renewIn(RETRY_MS, root, file, request));
    renewals.set(join(root, file.path), deps.clock.after(delayMs, run));
  }

  async function write(root: string, file: VolumeFile): Promise<void> {
    if (!Buffer.isBuffer(file.content)) {
      if (!renewals.has(join(root, file.path))) await writeToken(root, file, file.content);
      return;
    }
    await replaceFile(join(root, file.path), file.content, file.mode, fsGroup);
  }

  for (const volume of pod.manifest.spec.volumes ?? []) {
    const plan = planVolume(volume, pod, deps.lookup);
    if (plan.kind === "host") {
      paths.set(volume.name, plan.path);
      continue;
    }
    const root = plan.kind === "claim" ? join(deps.claimsFolder, pod.namespace, plan.name) : join(folder, volume.name);
    paths.set(volume.name, root);
    await mkdir(root, { recursive: true });
    await chmod(root, plan.kind === "files" ? 0o755 : 0o777);
    if (fsGroup !== undefined) {
      await chown(root, -1, fsGroup);
      await chmod(root, plan.kind === "files" ? 0o755 : 0o2777);
    }
    if (plan.kind === "files") for (const file of plan.files) await write(root, file);
  }

  return {
    paths,
    async refresh() {
      for (const volume of pod.manifest.spec.volumes ?? []) {
        const root = paths.get(volume.name);
        const plan = tryPlan(() => planVolume(volume, pod, deps.lookup));
        if (stopped || root === undefined || plan?.kind !== "files") continue;
        for (const file of plan.files) await write(root, file);
      }
    },
    stop() {
      stopped = true;
      for (const cancel of renewals.values()) cancel();
    },
  };
}

/** Undefined where the sources are gone: running containers keep their last files, as in a cluster. */
function tryPlan<T>(plan: () => T): T | undefined {
  try {
    return plan();
  } catch {
    return undefined;
  }
}

async function replaceFile(path: string, content: Buffer, mode: number, group?: number): Promise<void> {
  const same = await readFile(path).then(
    (old) => old.equals(content),
    () => false,
  );
  if (same) return;
  await mkdir(dirname(path), { recursive: true });
  const next = `${path}.next`;
  try {
    await writeFile(next, content, { mode: 0o600 });
    if (group !== undefined) await chown(next, -1, group);
    await chmod(next, group === undefined ? mode : mode | 0o040);
    await rename(next, path);
  } catch (thrown) {
    await rm(next, { force: true });
    throw thrown;
  }
}
