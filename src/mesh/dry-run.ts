import type { MeshObject } from "./object.ts";

/** https://istio.io/latest/docs/tasks/security/authorization/authz-dry-run/ */
export const DRY_RUN = "istio.io/dry-run";

/** Whether a policy is only tried out, so that it must neither refuse nor allow anything. Null where the value is no answer. */
export function isDryRun({ metadata }: Pick<MeshObject, "metadata">): boolean | null {
  const value = Object.hasOwn(metadata.annotations, DRY_RUN) ? metadata.annotations[DRY_RUN] : "false";
  if (TRUE.has(value ?? "")) return true;
  return FALSE.has(value ?? "") ? false : null;
}

/** Go's words: https://pkg.go.dev/strconv#ParseBool */
const TRUE: ReadonlySet<string> = new Set(["1", "t", "T", "TRUE", "true", "True"]);
const FALSE: ReadonlySet<string> = new Set(["0", "f", "F", "FALSE", "false", "False"]);
