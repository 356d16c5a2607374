import { type Static, Type } from "typebox";
import { Compile } from "typebox/compile";
import { TrysailError } from "../platform/errors.ts";
import { decodeReview } from "./decode-review.ts";
import { PodManifest } from "./pod.ts";

/** https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#request */
const AdmissionReview = Type.Object({
  apiVersion: Type.Literal("admission.k8s.io/v1"),
  kind: Type.Literal("AdmissionReview"),
  request: Type.Object({
    uid: Type.String({ minLength: 1, maxLength: 128 }),
    kind: Type.Object({ group: Type.Optional(Type.String()), version: Type.String(), kind: Type.String() }),
    operation: Type.String(),
    subResource: Type.Optional(Type.String()),
    namespace: Type.Optional(Type.String()),
    name: Type.Optional(Type.String()),
    dryRun: Type.Optional(Type.Union([Type.Boolean(), Type.Null()])),
    object: Type.Optional(Type.Unknown()),
    oldObject: Type.Optional(Type.Unknown()),
  }),
});
export type AdmissionRequest = Static<typeof AdmissionReview>["request"];

const review = Compile(AdmissionReview);
const pod = Compile(PodManifest);

/** Pods nest to about 15 levels; what goes far beyond is meant to exhaust a stack. */
const MAX_DEPTH = 64;

/** @throws TrysailError `invalid-argument` where there is no request that could be answered. */
export function parseReview(body: Buffer): AdmissionRequest {
  assertShallow(body);
  const value = parseJson(body);
  if (review.Check(value)) return value.request;
  if (typeof value === "object" && value !== null && "apiVersion" in value && "kind" in value) {
    const { apiVersion, kind } = value;
    if (kind !== "AdmissionReview" || apiVersion !== "admission.k8s.io/v1") {
      const found = `${printable(apiVersion)} ${printable(kind)}`;
      throw new TrysailError("invalid-argument", `expected admission.k8s.io/v1 AdmissionReview, got ${found}`);
    }
  }
  throw new TrysailError("invalid-argument", `not an AdmissionReview: ${firstError(review, value)}`);
}

/** @throws TrysailError `invalid-argument` naming the first field that is not as a Pod's must be. */
export function parsePod(value: unknown): PodManifest {
  if (pod.Check(value)) return value;
  throw new TrysailError("invalid-argument", `not a valid Pod: ${firstError(pod, value)}`);
}

/** Counts brackets without building anything, so that depth costs nothing. */
function assertShallow(body: Buffer): void {
  let depth = 0;
  for (let at = 0; at < body.length; at++) {
    switch (body[at]) {
      case 0x22: // a text: on to its closing quote
        while (++at < body.length && body[at] !== 0x22) if (body[at] === 0x5c) at++;
        break;
      case 0x5b:
      case 0x7b:
        if (++depth > MAX_DEPTH) throw new TrysailError("invalid-argument", `nested deeper than ${MAX_DEPTH} levels`);
        break;
      case 0x5d:
      case 0x7d:
        depth--;
    }
  }
}

function parseJson(body: Buffer): unknown {
  try {
    return decodeReview(body.toString("utf8"));
  } catch (cause) {
    throw new TrysailError("invalid-argument", "not JSON", { cause });
  }
}

function firstError(validator: typeof review | typeof pod, value: unknown): string {
  const [error] = validator.Errors(value);
  if (!error) return "unknown error";
  const field = error.instancePath.slice(1).replaceAll("/", ".");
  return `${field === "" ? "document" : field.slice(0, 200)} ${error.message}`;
}

function printable(value: unknown): string {
  return typeof value === "string" ? value.slice(0, 60) : typeof value;
}
