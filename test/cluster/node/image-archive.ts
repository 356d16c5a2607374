/**
 * Writes an archive of container images to standard output, as `docker save` does and every loader reads: Trysail's
 * own, a stock Envoy for the sidecars, the tests' app and the node's pause, from what build.sh and image/root.sh left
 * in .cache/kubernetes. Layers are made once for the same files.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  createReadStream,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const REPOSITORY = fileURLToPath(new URL("../../..", import.meta.url));
const CACHE = join(REPOSITORY, ".cache/kubernetes");
const STAGE = join(CACHE, "images");

interface Image {
  readonly name: string;
  /** Another name that it goes by. */
  readonly alias?: string;
  readonly layers: readonly string[];
  readonly config: object;
}

const trysail = ["base", "node", "trysail"];
const images: readonly Image[] = [
  { name: "localhost/pause:1", layers: ["pause"], config: { Entrypoint: ["/bin/sleep", "2147483647"] } },
  {
    name: "docker.io/trysail/trysail:test",
    // As docs/install.md calls what its readers push.
    alias: "registry.example.com/trysail/trysail:0.1.0",
    layers: trysail,
    config: {
      User: "65532:65532",
      Entrypoint: ["trysail"],
      Env: ["PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"],
    },
  },
  {
    name: "docker.io/envoyproxy/envoy:v1.40.0",
    layers: ["base", "envoy"],
    config: { Entrypoint: ["envoy"], Env: ["PATH=/usr/local/bin:/usr/bin:/bin"] },
  },
  {
    name: "docker.io/trysail/test-app:1",
    layers: ["base", "node", "app"],
    config: {
      User: "65532:65532",
      Entrypoint: ["node", "/opt/app/app.ts"],
      Env: ["PATH=/usr/local/bin:/usr/bin:/bin"],
    },
  },
];

const folders: Readonly<Record<string, (folder: string) => void>> = {
  base: () => {},
  trysail: () => {},
  node: (folder) => place(join(REPOSITORY, "node_modules/node/bin/node"), folder, "usr/local/bin/node"),
  envoy: (folder) =>
    place(process.env.ENVOY ?? join(REPOSITORY, ".cache/envoy/bin/envoy"), folder, "usr/local/bin/envoy"),
  app: (folder) => place(join(REPOSITORY, "test/cluster/app.ts"), folder, "opt/app/app.ts"),
  pause(folder) {
    place(join(CACHE, "debian/bin/busybox"), folder, "bin/busybox");
    symlinkSync("busybox", join(folder, "bin/sleep"));
  },
};

const layers = new Map<string, { path: string; digest: string }>();
for (const name of new Set(images.flatMap((image) => image.layers))) layers.set(name, await layerOf(name));
const scratch = join(STAGE, "archive");
rmSync(scratch, { recursive: true, force: true });
mkdirSync(scratch, { recursive: true });
const manifest = images.map((image) => {
  const parts = image.layers.map(partOf);
  const config = JSON.stringify({
    architecture: process.arch === "arm64" ? "arm64" : "amd64",
    os: "linux",
    config: image.config,
    rootfs: { type: "layers", diff_ids: parts.map(({ digest }) => `sha256:${digest}`) },
  });
  const configFile = `${createHash("sha256").update(config).digest("hex")}.json`;
  writeFileSync(join(scratch, configFile), config);
  const tags = image.alias === undefined ? [image.name] : [image.name, image.alias];
  return { Config: configFile, RepoTags: tags, Layers: parts.map(({ digest }) => `${digest}.tar`) };
});
for (const { path, digest } of layers.values()) symlinkSync(path, join(scratch, `${digest}.tar`));
writeFileSync(join(scratch, "manifest.json"), JSON.stringify(manifest));
const written = spawnSync("tar", ["-C", scratch, "-ch", "."], { stdio: ["ignore", "inherit", "inherit"] });
rmSync(scratch, { recursive: true });
process.exitCode = written.status ?? 1;

function partOf(name: string): { path: string; digest: string } {
  const part = layers.get(name);
  if (part === undefined) throw new Error(`no layer ${name}`);
  return part;
}

/** The base is as heavy as it is constant; the rest is packed anew each time. */
async function layerOf(name: string): Promise<{ path: string; digest: string }> {
  const folder = name === "base" ? join(CACHE, "base") : join(STAGE, name);
  if (name !== "base" && name !== "trysail") {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    folders[name]?.(folder);
  }
  const path = join(STAGE, `${name}.tar`);
  const stamp = join(CACHE, "base.stamp");
  const stampCopy = join(STAGE, "base.stamp");
  const isPacked =
    name === "base" &&
    existsSync(path) &&
    existsSync(stampCopy) &&
    readFileSync(stamp, "utf8") === readFileSync(stampCopy, "utf8");
  if (!isPacked) {
    const same = [
      "--sort=name",
      "--mtime=@0",
      "--numeric-owner",
      ...(name === "base" ? [] : ["--owner=0", "--group=0"]),
    ];
    execFileSync("tar", ["-C", folder, ...same, "-cf", path, "."]);
    if (name === "base") copyFileSync(stamp, stampCopy);
  }
  return { path, digest: await digestOf(path) };
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest("hex");
}

function place(source: string, folder: string, target: string): void {
  const path = join(folder, target);
  mkdirSync(dirname(path), { recursive: true });
  copyFileSync(source, path);
}
