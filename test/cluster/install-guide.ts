import { execFile } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { parseAllDocuments } from "yaml";
import type { Cleanup } from "../support/cleanup.ts";
import { temporaryPath } from "../support/state.ts";
import type { ApplicableObject } from "./mesh-cluster.ts";

const REPOSITORY = fileURLToPath(new URL("../..", import.meta.url));
const GUIDE = readFileSync(join(REPOSITORY, "docs/install.md"), "utf8");
const YAML = /^```yaml\n(.*?)^```$/gms;
/** `helm test` and `--wait` take their time on a busy machine. */
const COMMAND_MS = 180_000;

/** The objects of docs/install.md by kind, so that what the guide says is what is tried. */
export function installGuideObjects(): ReadonlyMap<string, ApplicableObject> {
  const blocks = [...GUIDE.matchAll(YAML)].map(([, text = ""]) => text);
  const objects: readonly ApplicableObject[] = blocks
    .flatMap((text) => parseAllDocuments(text))
    .map((document) => document.toJS());
  return new Map(objects.map((object) => [object.kind, object]));
}

/** The commands below a heading of docs/install.md, in their order, as they are typed. */
export function installGuideCommands(heading: string): readonly string[] {
  const [, section = ""] = GUIDE.replaceAll(YAML, "").split(`\n## ${heading}\n`);
  const lines = (section.split("\n## ")[0] ?? "").split("\n").filter((line) => line.startsWith("    "));
  const commands = lines
    .join("\n")
    .replaceAll(/\\\n\s+/g, "")
    .split("\n");
  return commands.map((command) => command.replace(/ {2,}# .*$/, "").trim());
}

/** Runs a command of the guide and hands out what it printed; rejects, with that, where it fails. */
export type GuideShell = (command: string) => Promise<string>;

/**
 * A shell in a checkout, as the guide takes for granted: with helm, kubectl and trysail, the cluster's kubeconfig, and files of
 * the reader's own.
 */
export async function installGuideShell(
  t: Cleanup,
  kubeconfig: string,
  files: Readonly<Record<string, string>>,
): Promise<GuideShell> {
  const folder = await temporaryPath(t, "guide");
  const bin = join(folder, "bin");
  mkdirSync(bin, { recursive: true });
  symlinkSync(join(REPOSITORY, "charts"), join(folder, "charts"));
  for (const name of ["helm", "kubectl"]) symlinkSync(join(REPOSITORY, ".cache/kubernetes/bin", name), join(bin, name));
  const program = join(bin, "trysail");
  writeFileSync(program, `#!/bin/sh\nexec "${process.execPath}" "${REPOSITORY}/src/cli/trysail.ts" "$@"\n`);
  chmodSync(program, 0o755);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const env = { ...process.env, KUBECONFIG: kubeconfig, HOME: folder, PATH: `${bin}:${process.env.PATH}` };
  return async (command) => {
    // What a command leaves in the background ends with it.
    const script = `trap 'kill $(jobs -p) 2>/dev/null' EXIT; ${command}`;
    const { stdout } = await promisify(execFile)("bash", ["-c", script], { cwd: folder, env, timeout: COMMAND_MS });
    return stdout;
  };
}
