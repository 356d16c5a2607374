import { Compile, type Validator } from "typebox/compile";
import { checkObject } from "./check-object.ts";
import { conform, isRecord } from "./conform.ts";
import { deepFreeze } from "./deep-freeze.ts";
import { describeObject, type Finding, type FindingCode, type ObjectRef, type Origin } from "./finding.ts";
import type { KnownObject } from "./kinds.ts";
import type { Problem } from "./problem.ts";
import { groupOf, type KindSchema, kindSchemaOf, kindSchemas } from "./schemas.ts";
import { isKubernetesGroup, isUnsupportedMeshKind, unsupportedFields, unsupportedValues } from "./unsupported.ts";

/** At most this many findings for one object: past it, more of the same help nobody. */
const MAX_FINDINGS = 10;

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
    return { findings: [kindUnsupported(apiVersion, kind, refFrom(value, kind), origin)] };
  }
  const ref = refFrom(value, kind, entry);
  const generation = generationOf(value);
  if (!entry.apiVersions.includes(apiVersion)) {
    const message = `${kind} is not read as ${apiVersion}: write apiVersion: ${entry.apiVersions[0]}`;
    return failed("kind-unsupported", message, { origin, object: ref, generation, field: "apiVersion" });
  }
  return parseKnown(value, entry, { origin, object: ref, generation });
}

/** Like `parseObject`, with `List` documents (as `kubectl get -o yaml` prints them) unfolded into their items. */
export function parseObjects(value: unknown, origin?: Origin): { objects: KnownObject[]; findings: Finding[] } {
  const objects: KnownObject[] = [];
  const findings: Finding[] = [];
  for (const item of itemsOf(value)) {
    const parsed = parseObject(item, origin);
    if (parsed.object !== undefined) objects.push(parsed.object);
    findings.push(...parsed.findings);
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

interface Place {
  readonly origin: Origin | undefined;
  readonly object?: ObjectRef | undefined;
  readonly generation?: number | undefined;
  readonly field?: string;
}

function parseKnown(
  value: Record<string, unknown>,
  entry: KindSchema,
  place: Place & { object?: ObjectRef | undefined },
): ParsedObject {
  const findings: Finding[] = [];
  const validator = validatorOf(entry);
  let document = withSpec(value, entry);
  if (!validator.Check(document)) {
    const conformed = conform(entry.schema, document, { redact: entry.kind === "Secret" });
    for (const path of conformed.unknownFields) findings.push(unknownField(entry, path, place));
    for (const { path, reason } of conformed.mismatches) {
      findings.push(
        finding("error", "schema-invalid", `${path} ${reason}${unsupportedHint(entry, path, document)}`, {
          ...place,
          field: path,
        }),
      );
    }
    if (!isRecord(conformed.value) || hasError(findings)) return { findings: gravest(findings) };
    document = conformed.value;
  }
  const object = withDefaults(document, entry, place.origin);
  if (!isKnownObject(object, entry)) {
    // The schema refuses what `conform` passed: a gap between the two must not let anything through.
    const [first] = validator.Errors(object);
    const path = (first?.instancePath ?? "").slice(1).replaceAll("/", ".");
    return {
      findings: [
        finding("error", "schema-invalid", `${path} ${first?.message ?? "is not valid"}`, { ...place, field: path }),
      ],
    };
  }
  for (const problem of checkObject(object)) {
    const { path, reason, severity } = problem;
    findings.push(finding(severity, codeOf(problem), `${path} ${reason}`, { ...place, field: path }));
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

/** Whether `object` is what its kind's type says: its schema holds, and the defaults are in place. */
function isKnownObject(
  object: Record<string, unknown>,
  entry: KindSchema,
): object is Record<string, unknown> & KnownObject {
  const { origin, ...document } = object;
  const metadata = isRecord(document.metadata) ? document.metadata : {};
  const { namespace, ...named } = metadata;
  return (
    typeof namespace === "string" &&
    isRecord(metadata.labels) &&
    isRecord(metadata.annotations) &&
    validatorOf(entry).Check({ ...document, metadata: namespace === "" ? named : metadata })
  );
}

const validators = new WeakMap<KindSchema, Validator>();

/** Compiled at first use: most meshes have few of the kinds. */
function validatorOf(entry: KindSchema): Validator {
  let validator = validators.get(entry);
  if (validator === undefined) {
    validator = Compile(entry.schema);
    validators.set(entry, validator);
  }
  return validator;
}

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

function unknownField(entry: KindSchema, path: string, place: Place): Finding {
  const plain = withoutIndexes(path);
  const known = unsupportedFields[entry.kind]?.has(plain) === true;
  const isError = entry.failClosedAt?.test(plain) === true;
  const what = known
    ? `${path} is a field of Istio's that this version does not support yet`
    : `${path} is not a field of ${entry.kind}`;
  const consequence = isError
    ? "since ignoring it could allow more than it says, the object is not used: remove or correct it"
    : known
      ? "it has no effect, the rest is used"
      : "it is ignored: check its spelling and indentation";
  return finding(isError ? "error" : "warning", "field-unsupported", `${what}; ${consequence}`, {
    ...place,
    field: path,
  });
}

function unsupportedHint(entry: KindSchema, path: string, document: unknown): string {
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

function kindUnsupported(
  apiVersion: string,
  kind: string,
  ref: ObjectRef | undefined,
  origin: Origin | undefined,
): Finding {
  const group = groupOf(apiVersion);
  const place = { origin, object: ref, field: "kind" };
  if (isUnsupportedMeshKind(group, kind)) {
    return finding(
      "warning",
      "kind-unsupported",
      `${kind} of ${group} is not supported yet: the object has no effect`,
      place,
    );
  }
  const entry = kindSchemaOf(kind) ?? kindSchemas.find((known) => isNear(known.kind, kind));
  if (entry !== undefined) {
    const meant = `apiVersion: ${entry.apiVersions[0]}, kind: ${entry.kind}`;
    const severity = kindSchemaOf(kind) === undefined || isKubernetesGroup(group) ? "error" : "warning";
    return finding(severity, "kind-unsupported", `there is no ${kind} in ${apiVersion}: did you mean ${meant}?`, place);
  }
  if (group.endsWith(".istio.io")) {
    return finding(
      "error",
      "kind-unsupported",
      `there is no ${kind} in ${apiVersion}: check the spelling of its kind and apiVersion`,
      place,
    );
  }
  if (isKubernetesGroup(group)) {
    return finding("info", "kind-unsupported", `${kind} is not a kind the mesh reads: the object is left alone`, place);
  }
  return finding(
    "warning",
    "kind-unsupported",
    `${kind} of ${apiVersion} is not a kind the mesh knows: the object is ignored`,
    place,
  );
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

function notAnObject(value: unknown): string {
  if (Array.isArray(value)) {
    return "this document is a list: write its items as documents of their own, separated by ---, or as the items of a kind: List";
  }
  return "this document is not a Kubernetes object: it must be a mapping with apiVersion, kind and metadata";
}

/** The first are those that keep an object from being used, then those that keep it from being written. */
function gravest(findings: readonly Finding[]): Finding[] {
  const rank = ({ severity, code }: Finding) => (severity === "error" ? 0 : code === "value-refused" ? 1 : 2);
  return findings.toSorted((a, b) => rank(a) - rank(b)).slice(0, MAX_FINDINGS);
}

function hasError(findings: readonly Finding[]): boolean {
  return findings.some(({ severity }) => severity === "error");
}

function failed(code: FindingCode, message: string, place: Place): ParsedObject {
  return { findings: [finding("error", code, message, place)] };
}

function finding(severity: Finding["severity"], code: FindingCode, message: string, place: Place): Finding {
  const { origin, object, generation, field } = place;
  return Object.freeze({
    severity,
    code,
    message: object === undefined ? message : `${describeObject(object)}: ${message}`,
    ...(origin === undefined ? {} : { origin }),
    ...(object === undefined ? {} : { object }),
    ...(generation === undefined ? {} : { generation }),
    ...(field === undefined ? {} : { field }),
  });
}
