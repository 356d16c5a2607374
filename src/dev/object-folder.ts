import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

export interface ManifestObject {
  readonly kind: string;
  readonly metadata: { readonly name?: string; readonly namespace?: string };
}

/** Makes a folder hold exactly the given objects, one JSON file each; only what changed is written. */
export type WriteObjects = (objects: readonly ManifestObject[]) => Promise<void>;

/** The folder of objects that a cluster's own controllers would make, for the control plane to read. */
export async function createObjectFolder(path: string): Promise<WriteObjects> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  const written = new Map<string, string>();
  return async (objects) => {
    const wanted = new Map(objects.map((object) => [fileOf(object), `${JSON.stringify(object, null, 1)}\n`]));
    for (const [file, text] of wanted) {
      if (written.get(file) === text) continue;
      const next = join(path, `.${file}.next`); // no .json at its end, so nobody reads it as an object
      await writeFile(next, text);
      await rename(next, join(path, file));
      written.set(file, text);
    }
    for (const file of [...written.keys()]) {
      if (wanted.has(file)) continue;
      await rm(join(path, file), { force: true });
      written.delete(file);
    }
  };
}

function fileOf({ kind, metadata }: ManifestObject): string {
  return `${kind.toLowerCase()}_${metadata.namespace ?? ""}_${metadata.name ?? ""}.json`;
}
