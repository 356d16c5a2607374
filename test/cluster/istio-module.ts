import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseAllDocuments } from "yaml";
import { messageOf } from "../../src/platform/errors.ts";

export interface IstioCrd {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly names: { readonly kind: string; readonly plural: string } };
}

/** Istio's own CRDs as Istio installs them, out of the Go module whose version bench/meshload pins, or why there are none. */
export function findIstioCrds(): { readonly crds: readonly IstioCrd[] } | { readonly missing: string } {
  try {
    const cwd = fileURLToPath(new URL("../../bench/meshload", import.meta.url));
    const told = execFileSync("go", ["mod", "download", "-json", "istio.io/api"], {
      cwd,
      encoding: "utf8",
      stdio: "pipe",
    });
    const { Dir: folder }: { Dir: string } = JSON.parse(told);
    const text = readFileSync(join(folder, "kubernetes/customresourcedefinitions.gen.yaml"), "utf8");
    return { crds: parseAllDocuments(text).flatMap((document): IstioCrd[] => document.toJS() ?? []) };
  } catch (error) {
    return { missing: `no CRDs of Istio's: Go brings them, and that failed: ${messageOf(error).slice(0, 300)}` };
  }
}
