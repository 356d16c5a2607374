import { TrysailError } from "../platform/errors.ts";
import { fieldValue, resourceValue } from "./downward-api.ts";
import type { ConfigLookup } from "./environment.ts";
import type { ConfigMapSource, DownwardApiSource, SecretSource, TokenSource, Volume } from "./pod.ts";
import type { RunningPod } from "./running-pod.ts";

/** A file inside a volume; `path` is relative and stays below it. */
export interface VolumeFile {
  readonly path: string;
  readonly mode: number;
  readonly content: Buffer | TokenRequest;
}

/** A file whose content is a service account token, to be minted and renewed. */
export interface TokenRequest {
  readonly audience?: string;
  readonly ttlMs: number;
}

/** Where a volume's bytes live: a folder of its own, a folder of this machine, a folder kept by name, or given files. */
export type VolumePlan =
  | { readonly kind: "empty" }
  | { readonly kind: "host"; readonly path: string }
  | { readonly kind: "claim"; readonly name: string }
  | { readonly kind: "files"; readonly files: readonly VolumeFile[] };

const DEFAULT_TOKEN_TTL_SECONDS = 3600;
const DEFAULT_MODE = 0o644;

/**
 * What a volume holds right now. Throws `failed-precondition` naming a missing ConfigMap, Secret or key (the pod waits
 * for it) and `invalid-argument` for a volume this machine cannot give.
 */
export function planVolume(volume: Volume, pod: RunningPod, lookup: ConfigLookup): VolumePlan {
  if (volume.hostPath !== undefined) return { kind: "host", path: volume.hostPath.path };
  if (volume.persistentVolumeClaim !== undefined)
    return { kind: "claim", name: volume.persistentVolumeClaim.claimName };
  if (volume.configMap !== undefined)
    return { kind: "files", files: mapFiles("configMap", volume.configMap, pod, lookup) };
  if (volume.secret !== undefined) return { kind: "files", files: mapFiles("secret", volume.secret, pod, lookup) };
  if (volume.downwardAPI !== undefined) return { kind: "files", files: podFiles(volume.downwardAPI, pod) };
  if (volume.projected !== undefined) {
    const defaultMode = volume.projected.defaultMode;
    const files = volume.projected.sources.flatMap((source) => [
      ...(source.serviceAccountToken === undefined ? [] : [tokenFile(source.serviceAccountToken, defaultMode)]),
      ...(source.configMap === undefined
        ? []
        : mapFiles("configMap", { defaultMode, ...source.configMap }, pod, lookup)),
      ...(source.secret === undefined ? [] : mapFiles("secret", { defaultMode, ...source.secret }, pod, lookup)),
      ...(source.downwardAPI === undefined ? [] : podFiles({ defaultMode, ...source.downwardAPI }, pod)),
    ]);
    return { kind: "files", files };
  }
  const others = Object.keys(volume).filter((key) => key !== "name" && key !== "emptyDir");
  if (volume.emptyDir === undefined && others.length > 0) {
    throw new TrysailError(
      "invalid-argument",
      `volume ${volume.name}: ${others.join(", ")} is not available on this machine`,
    );
  }
  return { kind: "empty" };
}

function mapFiles(
  kind: "configMap" | "secret",
  source: ConfigMapSource | SecretSource,
  pod: RunningPod,
  lookup: ConfigLookup,
): VolumeFile[] {
  const name = "secretName" in source ? (source.secretName ?? "") : (source.name ?? "");
  const what = `${kind === "secret" ? "Secret" : "ConfigMap"} ${name}`;
  const data = lookup[kind](pod.namespace, name);
  if (data === undefined) {
    if (source.optional === true) return [];
    throw new TrysailError("failed-precondition", `${what} not found`);
  }
  const mode = source.defaultMode ?? DEFAULT_MODE;
  if (source.items === undefined) return [...data].map(([key, content]) => ({ path: inside(key), mode, content }));
  return source.items.flatMap((item) => {
    const content = data.get(item.key);
    if (content !== undefined) return [{ path: inside(item.path), mode: item.mode ?? mode, content }];
    if (source.optional === true) return [];
    throw new TrysailError("failed-precondition", `${what} has no key ${item.key}`);
  });
}

function podFiles(source: DownwardApiSource, pod: RunningPod): VolumeFile[] {
  return (source.items ?? []).map((item) => ({
    path: inside(item.path),
    mode: item.mode ?? source.defaultMode ?? DEFAULT_MODE,
    content: Buffer.from(
      item.fieldRef !== undefined
        ? fieldValue(pod, item.fieldRef.fieldPath)
        : item.resourceFieldRef !== undefined
          ? resourceValue(pod, item.resourceFieldRef, "")
          : "",
    ),
  }));
}

function tokenFile(source: TokenSource, mode = DEFAULT_MODE): VolumeFile {
  const ttlMs = (source.expirationSeconds ?? DEFAULT_TOKEN_TTL_SECONDS) * 1000;
  const audience = source.audience === undefined ? {} : { audience: source.audience };
  return { path: inside(source.path), mode, content: { ...audience, ttlMs } };
}

/** Refuses a path that would leave its volume. */
function inside(path: string): string {
  if (path === "" || path.startsWith("/") || path.split("/").includes("..")) {
    throw new TrysailError("invalid-argument", `volume path ${JSON.stringify(path)} must be relative, without ".."`);
  }
  return path;
}
