import type { Finding } from "./finding.ts";
import { groupOf, kindSchemaOf, kindSchemas } from "./schemas.ts";
import { isKubernetesGroup, isUnsupportedMeshKind } from "./unsupported.ts";

/** What to say of a kind that is not read: nothing grave, unless it is probably a typing error. */
export function judgeUnknownKind(apiVersion: string, kind: string): Pick<Finding, "severity" | "message"> {
  const group = groupOf(apiVersion);
  if (isUnsupportedMeshKind(group, kind)) {
    return { severity: "warning", message: `${kind} of ${group} is not supported yet: the object has no effect` };
  }
  const entry = kindSchemaOf(kind) ?? kindSchemas.find((known) => isNear(known.kind, kind));
  if (entry !== undefined) {
    const meant = `apiVersion: ${entry.apiVersions[0]}, kind: ${entry.kind}`;
    const severity = kindSchemaOf(kind) === undefined || isKubernetesGroup(group) ? "error" : "warning";
    return { severity, message: `there is no ${kind} in ${apiVersion}: did you mean ${meant}?` };
  }
  if (group.endsWith(".istio.io")) {
    const message = `there is no ${kind} in ${apiVersion}: check the spelling of its kind and apiVersion`;
    return { severity: "error", message };
  }
  if (isKubernetesGroup(group)) {
    return { severity: "info", message: `${kind} is not a kind the mesh reads: the object is left alone` };
  }
  return {
    severity: "warning",
    message: `${kind} of ${apiVersion} is not a kind the mesh knows: the object is ignored`,
  };
}

/** Whether one is the other but for case, one letter too many or few, or two that changed places. */
function isNear(a: string, b: string): boolean {
  const [x, y] = [a.toLowerCase(), b.toLowerCase()];
  if (x === y) return true;
  if (Math.abs(x.length - y.length) > 1) return false;
  let start = 0;
  while (start < x.length && x[start] === y[start]) start++;
  let end = 0;
  while (end < Math.min(x.length, y.length) - start && x.at(-1 - end) === y.at(-1 - end)) end++;
  const [left, right] = [x.slice(start, x.length - end), y.slice(start, y.length - end)];
  return left.length <= 1 && right.length <= 1 ? true : left.length === 2 && left === `${right[1]}${right[0]}`;
}
