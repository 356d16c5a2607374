import { parseGoBoolean } from "../platform/go-boolean.ts";
import type { MeshObject } from "./object.ts";

/** https://istio.io/latest/docs/tasks/security/authorization/authz-dry-run/ */
export const DRY_RUN = "istio.io/dry-run";

/** Whether a policy is only tried out, so that it must neither refuse nor allow anything. Null where the value is no answer. */
export function isDryRun({ metadata }: Pick<MeshObject, "metadata">): boolean | null {
  return Object.hasOwn(metadata.annotations, DRY_RUN) ? parseGoBoolean(metadata.annotations[DRY_RUN] ?? "") : false;
}
