import { isDeepStrictEqual } from "node:util";
import type { AdmissionRequest } from "../injection/review.ts";
import { isRecord } from "../mesh/conform.ts";
import type { Finding } from "../mesh/finding.ts";
import type { KnownObject } from "../mesh/kinds.ts";
import { readObject } from "../mesh/parse-object.ts";
import { isKubernetesGroup } from "../mesh/unsupported.ts";
import { messageOf } from "../platform/errors.ts";
import { buildDenial, type Denial } from "./denial.ts";
import { buildWarnings } from "./warnings.ts";

export interface ValidateDeps {
  /** What is wrong between an object and the mesh it would join. */
  analyze(object: KnownObject): readonly Finding[];
}

/**
 * `warned`: accepted, but not wholly used as written. `ignored`: a request that validation has no say in, such as a
 * deletion. `failed`: a failure of our own.
 */
export type ValidationOutcome = "accepted" | "warned" | "denied" | "ignored" | "failed";

/** What became of one request, and the response that says so. */
export interface Validation {
  readonly outcome: ValidationOutcome;
  readonly findings: readonly Finding[];
  readonly response: ValidationResponse;
  /** What a failure was, for the log only. */
  readonly cause?: unknown;
}

/** https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#response */
export type ValidationResponse = { readonly uid: string } & (
  | { readonly allowed: true; readonly warnings?: readonly string[] }
  | { readonly allowed: false; readonly status: Denial; readonly warnings?: readonly string[] }
);

/** Never throws: what is wrong with an object is told to whoever writes it. */
export function validate(request: AdmissionRequest, deps: ValidateDeps): Validation {
  const { uid } = request;
  try {
    if (!isOfInterest(request)) return { outcome: "ignored", findings: [], response: { uid, allowed: true } };
    const { object, findings: own } = readObject(withIdentity(request));
    const findings = [...own, ...(object === undefined ? [] : deps.analyze(object))];
    const errors = findings.filter(isGrave);
    if (errors.length > 0 && !isUnchanged(request)) {
      const warnings = buildWarnings(findings.filter((finding) => !isGrave(finding)));
      const status = buildDenial(errors, request);
      return { outcome: "denied", findings, response: { uid, allowed: false, status, ...warnings } };
    }
    const outcome = findings.length === 0 ? "accepted" : "warned";
    return { outcome, findings, response: { uid, allowed: true, ...buildWarnings(findings) } };
  } catch (cause) {
    const message = "trysail failed to validate the object; its log says why";
    const status = { code: 500, reason: "InternalError", message };
    return {
      outcome: "failed",
      findings: [],
      response: { uid, allowed: false, status },
      cause: new Error(`validation failed: ${messageOf(cause)}`, { cause }),
    };
  }
}

/**
 * A kind that the API server has is no typing error, even where this version has never heard of it. What Istio refuses is
 * refused here too, also where it would be used if it were stored.
 */
function isGrave({ severity, code }: Finding): boolean {
  return code === "value-refused" || (severity === "error" && code !== "kind-unsupported");
}

/**
 * Kubernetes validates its own kinds. Whoever deletes an object must get rid of it however wrong it is, and that
 * includes the updates by which its finalizers go.
 */
function isOfInterest({ operation, subResource, kind, object }: AdmissionRequest): boolean {
  if ((operation !== "CREATE" && operation !== "UPDATE") || subResource) return false;
  if (isKubernetesGroup(kind.group ?? "") && kind.group !== "gateway.networking.k8s.io") return false;
  const metadata = isRecord(object) ? object.metadata : undefined;
  return !(isRecord(metadata) && metadata.deletionTimestamp != null);
}

/** An object that was bad before can still be labelled: only its meaning is refused, and that has not changed. */
function isUnchanged({ operation, object, oldObject }: AdmissionRequest): boolean {
  return (
    operation === "UPDATE" && isRecord(object) && isRecord(oldObject) && isDeepStrictEqual(object.spec, oldObject.spec)
  );
}

/** The object under the name and namespace of the request, which count where the object does not say them yet. */
function withIdentity({ object, name, namespace }: AdmissionRequest): unknown {
  if (!isRecord(object)) return object;
  const metadata = isRecord(object.metadata) ? object.metadata : {};
  const { generateName } = metadata;
  // The API server makes up the rest of such a name later.
  const begun = typeof generateName === "string" && generateName !== "" ? `${generateName}new` : undefined;
  const known = { name: name || begun, namespace: namespace || undefined };
  const missing = Object.entries(known).filter(([key, value]) => value !== undefined && !metadata[key]);
  return missing.length === 0 ? object : { ...object, metadata: { ...metadata, ...Object.fromEntries(missing) } };
}
