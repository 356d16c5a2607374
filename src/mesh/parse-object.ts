import { Compile, type Validator } from "typebox/compile";
import { append } from "../platform/append.ts";
import { onceFor } from "../platform/once-for.ts";
import { checkObject } from "./check-object.ts";
import { conform, isRecord } from "./conform.ts";
import { deepFreeze } from "./deep-freeze.ts";
import { findExcess } from "./find-excess.ts";
import type { Finding, FindingCode, ObjectRef, Origin } from "./finding.ts";
import { gravestFirst } from "./gravest-first.ts";
import { judgeUnknownField, opensIfIgnored, unsupportedHint } from "./judge-unknown-field.ts";
import { judgeUnknownKind } from "./judge-unknown-kind.ts";
import type { KnownObject } from "./kinds.ts";
import { findingAt, gravest, hasError, MAX_FINDINGS, type Place } from "./object-findings.ts";
import type { Problem } from "./problem.ts";
import { groupOf, type KindSchema, kindSchemaOf } from "./schemas.ts";

export interface ParsedObject {
  /** Absent where a finding of severity `error` says why, or where the kind is not read. */
  readonly object?: KnownObject;
  readonly findings: readonly Finding[];
}

/**
 * Reads one document's value as an object of a known kind: validated, defaults filled in, deeply frozen (with `value`
 * handed over by the caller). Never throws: whatever is wrong becomes a Finding. `value` must be plain data whose depth was capped.
 */
export function parseObject(value: unknown, origin?: Origin): ParsedObject {
  const parsed = readObject(value, origin);
  if (parsed.object !== undefined) deepFreeze(parsed.object);
  return parsed;
}

/** `parseObject` without freezing, for those who look at an object once and let go of it. */
export function readObject(value: unknown, origin?: Origin): ParsedObject {
  if (!isRecord(value)) return failed("not-an-object", notAnObject(value), { origin });
  const { apiVersion, kind } = value;
  if (typeof apiVersion !== "string" || apiVersion === "" || typeof kind !== "string" || kind === "") {
    const field = typeof kind !== "string" || kind === "" ? "kind" : "apiVersion";
    const message = `this document is not a Kubernetes object: it has no ${field} (text); add it, or keep the file elsewhere`;
    return failed("not-an-object", message, { origin, field });
  }
  const entry = kindSchemaOf(kind);
  if (entry === undefined || groupOf(apiVersion) !== groupOf(entry.apiVersions[0])) {
    const { severity, message } = judgeUnknownKind(apiVersion, kind);
    const place = { origin, object: refFrom(value, kind), field: "kind" };
    return { findings: [findingAt(severity, "kind-unsupported", message, place)] };
  }
  const ref = refFrom(value, kind, entry);
  const generation = generationOf(value);
  if (!entry.apiVersions.includes(apiVersion)) {
    const message = `${kind} is not read as ${apiVersion}: write apiVersion: ${entry.apiVersions[0]}`;
    return failed("kind-unsupported", message, { origin, object: ref, generation, field: "apiVersion" });
  }
  const place = { origin, object: ref, generation };
  const excess = entry.istio ? findExcess(value) : undefined;
  if (excess !== undefined) return failed("schema-invalid", `${excess}: write several objects`, place);
  return parseKnown(value, entry, place);
}

/** Like `parseObject`, with `List` documents (as `kubectl get -o yaml` prints them) unfolded into their items. */
export function parseObjects(value: unknown, origin?: Origin): { objects: KnownObject[]; findings: Finding[] } {
  const objects: KnownObject[] = [];
  const findings: Finding[] = [];
  for (const item of itemsOf(value)) {
    const parsed = parseObject(item, origin);
    if (parsed.object !== undefined) objects.push(parsed.object);
    append(findings, parsed.findings);
  }
  return { objects, findings };
}

function itemsOf(value: unknown): readonly unknown[] {
  if (!isRecord(value) || typeof value.kind !== "string" || !value.kind.endsWith("List")) return [value];
  if (!Array.isArray(value.items)) return [value];
  const kind = value.kind.slice(0, -"List".length);
  if (kind === "") return value.items.flatMap(itemsOf);
  // The items of a typed list, such as ServiceList, may leave out what the list already says.
  return value.items.map((item) => (isRecord(item) ? { apiVersion: value.apiVersion, kind, ...item } : item));
}

function parseKnown(value: Record<string, unknown>, entry: KindSchema, place: Place): ParsedObject {
  const findings: Finding[] = [];
  const validator = validatorOf(entry);
  let document = withSpec(value, entry);
  const isValid = validator.Check(document);
  if (!isValid) {
    const conformed = conform(entry.schema, document, {
      redact: entry.kind === "Secret",
      // One more than are told, to know that there are more.
      most: MAX_FINDINGS + 1,
      isMistake: (path) => opensIfIgnored(entry, path),
    });
    for (const path of conformed.unknownFields) {
      const { severity, message } = judgeUnknownField(entry, path);
      findings.push(findingAt(severity, "field-unsupported", message, { ...place, field: path }));
    }
    for (const { path, reason } of conformed.mismatches) {
      const message = `${path} ${reason}${unsupportedHint(entry, path, document)}`;
      findings.push(findingAt("error", "schema-invalid", message, { ...place, field: path }));
    }
    if (!isRecord(conformed.value) || hasError(findings)) return { findings: gravest(findings) };
    document = conformed.value;
  }
  const object = withDefaults(document, entry, place.origin);
  if (!isKnownObject(object, entry, isValid)) {
    // The schema refuses what `conform` passed: a gap between the two must not let anything through.
    const [first] = validator.Errors(object);
    const path = (first?.instancePath ?? "").slice(1).replaceAll("/", ".");
    return failed("schema-invalid", `${path} ${first?.message ?? "is not valid"}`, { ...place, field: path });
  }
  for (const problem of gravestFirst(checkObject(object), codeOf).slice(0, MAX_FINDINGS + 1)) {
    const { path, reason, severity } = problem;
    findings.push(findingAt(severity, codeOf(problem), `${path} ${reason}`, { ...place, field: path }));
  }
  const kept = gravest(findings);
  return hasError(kept) ? { findings: kept } : { object, findings: kept };
}

function codeOf({ severity, isRefused }: Problem): FindingCode {
  if (severity === "error") return "schema-invalid";
  return isRefused ? "value-refused" : "value-invalid";
}

/** Istio's objects may leave out an empty spec. */
function withSpec(value: Record<string, unknown>, entry: KindSchema): Record<string, unknown> {
  return entry.istio && (value.spec === undefined || value.spec === null) ? { ...value, spec: {} } : value;
}

function withDefaults(
  document: Record<string, unknown>,
  entry: KindSchema,
  origin: Origin | undefined,
): Record<string, unknown> {
  const metadata = isRecord(document.metadata) ? document.metadata : {};
  const object: Record<string, unknown> = {
    ...document,
    metadata: {
      ...metadata,
      namespace: entry.namespaced ? (metadata.namespace ?? "default") : "",
      labels: metadata.labels ?? {},
      annotations: metadata.annotations ?? {},
    },
  };
  delete object.origin;
  if (origin !== undefined) object.origin = origin;
  if (entry.istio) delete object.status;
  if (entry.kind === "Secret" && isRecord(object.stringData)) {
    const encoded = Object.entries(object.stringData).map(([key, text]) => [
      key,
      Buffer.from(String(text)).toString("base64"),
    ]);
    object.data = { ...(isRecord(object.data) ? object.data : {}), ...Object.fromEntries(encoded) };
    delete object.stringData;
  }
  return object;
}

/**
 * Whether `object` is what its kind's type says: its schema holds, and the defaults are in place. They are valid, so that
 * of a document that was valid without them (`wasValid`) not all is looked at once more.
 */
function isKnownObject(
  object: Record<string, unknown>,
  entry: KindSchema,
  wasValid: boolean,
): object is Record<string, unknown> & KnownObject {
  const { origin, ...document } = object;
  const metadata = isRecord(document.metadata) ? document.metadata : {};
  const { namespace, ...named } = metadata;
  return (
    typeof namespace === "string" &&
    isRecord(metadata.labels) &&
    isRecord(metadata.annotations) &&
    (wasValid || validatorOf(entry).Check({ ...document, metadata: namespace === "" ? named : metadata }))
  );
}

/** Compiled at first use: most meshes have few of the kinds. */
const validatorOf = onceFor(({ schema }: KindSchema): Validator => Compile(schema));

function refFrom(value: Record<string, unknown>, kind: string, entry?: KindSchema): ObjectRef | undefined {
  const metadata = isRecord(value.metadata) ? value.metadata : {};
  if (typeof metadata.name !== "string" || metadata.name === "") return undefined;
  const namespace = typeof metadata.namespace === "string" ? metadata.namespace : entry === undefined ? "" : "default";
  return { kind, namespace: entry?.namespaced === false ? "" : namespace, name: metadata.name };
}

function generationOf({ metadata }: Record<string, unknown>): number | undefined {
  const generation = isRecord(metadata) ? metadata.generation : undefined;
  return typeof generation === "number" ? generation : undefined;
}

function notAnObject(value: unknown): string {
  if (Array.isArray(value)) {
    return "this document is a list: write its items as documents of their own, separated by ---, or as the items of a kind: List";
  }
  return "this document is not a Kubernetes object: it must be a mapping with apiVersion, kind and metadata";
}

function failed(code: FindingCode, message: string, place: Place): ParsedObject {
  return { findings: [findingAt("error", code, message, place)] };
}
