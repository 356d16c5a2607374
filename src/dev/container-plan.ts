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
  /** Folders of this machine that are empty inside, but for mounts of the container's own below them. */
  readonly masked: readonly string[];
  /** Paths of this machine which must be readable inside, whatever user the container runs as. */
  readonly visible: readonly string[];
  readonly readOnlyRoot: boolean;
  /** In a user namespace / as a whole may not be under a layer, only the folders in it. */
  readonly layerPerFolder: boolean;
  /** Arguments of setpriv, by `privileges()`. */
  readonly privileges: readonly string[];
  /** A fresh folder on a tmpfs for the container's writable layer. */
  readonly folder: string;
  readonly logFile: string;
}
