import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { messageOf, TrysailError } from "../../platform/errors.ts";
import type { MaterialUse } from "./authority-material.ts";
import { type AuthoritySource, createAuthoritySource } from "./authority-source.ts";

/** A folder of key and certificates, as a mounted Secret is one. */
export function createFolderSource({ path, ...use }: MaterialUse & { readonly path: string }): AuthoritySource {
  return createAuthoritySource({
    name: path,
    ...use,
    async readFile(name) {
      try {
        return await readFile(join(path, name));
      } catch (error) {
        if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
        throw new TrysailError("failed-precondition", `${join(path, name)} cannot be read: ${messageOf(error)}`);
      }
    },
  });
}
