import { readFile } from "node:fs/promises";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { type Static, Type } from "typebox";
import { Compile } from "typebox/compile";
import { parse } from "yaml";
import { messageOf, TrysailError } from "../platform/errors.ts";

/** What stands in for a container image on this machine: its entrypoint, and what its image would set. */
export interface LocalImage {
  /** As an image's ENTRYPOINT: a container's `command` replaces it. */
  readonly entrypoint: readonly string[];
  /** As an image's CMD: a container's `args` or `command` replaces it. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly workingDir?: string;
  /** Folders that come first in PATH, so that a container's `command: ["envoy"]` finds what the image would hold. */
  readonly path: readonly string[];
  /** Folders of this machine that its containers write to as well. */
  readonly sharedFolders: readonly string[];
}

const ImagesFile = Type.Object(
  {
    images: Type.Record(
      Type.String(),
      Type.Object(
        {
          command: Type.Array(Type.String(), { minItems: 1 }),
          args: Type.Optional(Type.Array(Type.String())),
          env: Type.Optional(Type.Record(Type.String(), Type.String())),
          workingDir: Type.Optional(Type.String()),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false },
);
export type ImagesFile = Static<typeof ImagesFile>;

const validator = Compile(ImagesFile);

/** `images.yaml` in `folder`; an absent file maps nothing. Throws `invalid-argument` naming file and field. */
export async function readImages(folder: string): Promise<Map<string, LocalImage>> {
  const file = join(folder, "images.yaml");
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (thrown) {
    if (thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT") return new Map();
    throw new TrysailError("invalid-argument", `cannot read ${file}: ${messageOf(thrown)}`);
  }
  return parseImages(text, file);
}

/** Relative paths (anything with a slash that starts with `.`, and `workingDir`) are taken from the file's folder. */
export function parseImages(text: string, file: string): Map<string, LocalImage> {
  let content: unknown;
  try {
    content = parse(text);
  } catch (thrown) {
    throw new TrysailError("invalid-argument", `${file}: ${messageOf(thrown)}`);
  }
  if (!validator.Check(content)) {
    const problem = validator.Errors(content)[0];
    const field = problem === undefined || problem.instancePath === "" ? "the file" : fieldOf(problem.instancePath);
    throw new TrysailError("invalid-argument", `${file}: ${field} ${problem?.message ?? "is not valid"}`);
  }
  const folder = dirname(resolve(file));
  const images = new Map<string, LocalImage>();
  for (const [image, entry] of Object.entries(content.images)) {
    images.set(image, {
      entrypoint: entry.command.map((word) => absolute(folder, word)),
      args: entry.args ?? [],
      env: entry.env ?? {},
      path: [],
      sharedFolders: [],
      workingDir: entry.workingDir === undefined ? folder : resolve(folder, entry.workingDir),
    });
  }
  return images;
}

/** The entry for an image: its exact name, else its name without tag and digest. Later maps are asked last. */
export function findImage(image: string, ...maps: ReadonlyMap<string, LocalImage>[]): LocalImage | undefined {
  for (const images of maps) {
    const found = images.get(image) ?? images.get(untagged(image));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** What the error for an unmapped image says: which container, and what to write where. */
export function unmappedImage(image: string, container: string, folder: string): string {
  return (
    `container ${container}: no local command for image ${image}; ` +
    `add it to ${join(folder, "images.yaml")}, such as: images: { "${untagged(image)}": { command: ["./server"] } }`
  );
}

/** `docker.io/library/a:1@sha256:…` → `docker.io/library/a`; a registry's port is not a tag. */
function untagged(image: string): string {
  const withoutDigest = image.split("@")[0] ?? image;
  const colon = withoutDigest.lastIndexOf(":");
  return colon > withoutDigest.lastIndexOf("/") ? withoutDigest.slice(0, colon) : withoutDigest;
}

function absolute(folder: string, word: string): string {
  if (isAbsolute(word) || !/^\.{1,2}\//.test(word)) return word;
  return resolve(folder, word);
}

function fieldOf(instancePath: string): string {
  return instancePath
    .slice(1)
    .split("/")
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"))
    .join(".");
}
