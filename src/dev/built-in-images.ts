import { dirname } from "node:path";
import type { LocalImage } from "./images.ts";

/** Images that need no entry in images.yaml: the two that injection adds to a pod. */
export function builtInImages(options: {
  readonly envoy: string;
  readonly trysail: readonly string[];
  /** Where Node keeps compiled code, so that not every pod's start compiles anew. */
  readonly compileCache: string;
}): Map<string, LocalImage> {
  const nothing = { args: [], env: {}, path: [], sharedFolders: [] };
  const envoy: LocalImage = { ...nothing, entrypoint: [options.envoy], path: [dirname(options.envoy)] };
  const trysail: LocalImage = {
    ...nothing,
    entrypoint: options.trysail,
    env: { NODE_COMPILE_CACHE: options.compileCache },
    sharedFolders: [options.compileCache],
  };
  return new Map([
    ["envoyproxy/envoy", envoy],
    ["docker.io/envoyproxy/envoy", envoy],
    ["trysail/trysail", trysail],
    ["docker.io/trysail/trysail", trysail],
  ]);
}
