import { isRecord } from "./conform.ts";
import type { Finding } from "./finding.ts";
import type { KindSchema } from "./schemas.ts";
import { unsupportedFields, unsupportedValues } from "./unsupported.ts";

/** What to say of a field that its kind does not have here, and whether the object may be used without it. */
export function judgeUnknownField(entry: KindSchema, path: string): Pick<Finding, "severity" | "message"> {
  const known = unsupportedFields[entry.kind]?.has(withoutIndexes(path)) === true;
  const isError = opensIfIgnored(entry, path);
  const what = known
    ? `${path} is a field of Istio's that this version does not support yet`
    : `${path} is not a field of ${entry.kind}`;
  const consequence = isError
    ? "since ignoring it could allow more than it says, the object is not used: remove or correct it"
    : known
      ? "it has no effect, the rest is used"
      : "it is ignored: check its spelling and indentation";
  return { severity: isError ? "error" : "warning", message: `${what}; ${consequence}` };
}

/** Whether to ignore what is at this path could open what its author meant to close. */
export function opensIfIgnored({ failClosedAt }: KindSchema, path: string): boolean {
  return failClosedAt?.test(withoutIndexes(path)) === true;
}

/** Of a value that its schema refuses: that it is one of Istio's all the same; else nothing. */
export function unsupportedHint(entry: KindSchema, path: string, document: unknown): string {
  const values = unsupportedValues[entry.kind]?.[withoutIndexes(path)];
  if (values === undefined) return "";
  const value = valueAt(document, path);
  return values.some((known) => known === value) ? " (a value of Istio's that this version does not support yet)" : "";
}

function valueAt(document: unknown, path: string): unknown {
  return path
    .split(/[.[\]]+/)
    .filter((step) => step !== "")
    .reduce<unknown>((value, step) => {
      if (Array.isArray(value)) return value[Number(step)];
      return isRecord(value) && Object.hasOwn(value, step) ? value[step] : undefined;
    }, document);
}

function withoutIndexes(path: string): string {
  return path.replaceAll(/\[\d+\]/g, "");
}
