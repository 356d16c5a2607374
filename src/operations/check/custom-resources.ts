import { type TSchema, Type } from "typebox";
import { listAll } from "../../kubernetes/list-all.ts";
import type { KubernetesObject } from "../../kubernetes/object.ts";
import { isRecord } from "../../mesh/conform.ts";
import { groupOf, type KindSchema, kindSchemas } from "../../mesh/schemas.ts";
import { type Check, namesIn, type Outcome } from "./check.ts";

const DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/** Whether each kind of the mesh's configuration is there, and knows the fields that are read. */
export const customResources: Check = {
  name: "CRDs",
  when: "always",
  async run({ client, isInstalled }) {
    const definitions = await listAll(client, DEFINITIONS);
    const found = kindSchemas
      .filter(({ istio }) => istio)
      .map((entry) => ({ entry, definition: definitions.find((definition) => defines(definition, entry)) }));
    const absent = found.filter(({ definition }) => definition === undefined).map(({ entry }) => entry.kind);
    const problems = found.flatMap(({ entry, definition }) =>
      definition === undefined ? [] : problemsOf(entry, definition),
    );
    const foreign = found.filter(({ definition }) => definition !== undefined && !isOurs(definition));
    return [...presence(absent, isInstalled), ...problems, ...foreignNote(foreign.map(({ entry }) => entry.kind))];
  },
};

function presence(absent: readonly string[], isInstalled: boolean): readonly Outcome[] {
  if (absent.length === 0) return [{ status: "pass", message: "every kind that the mesh reads is installed" }];
  if (!isInstalled) return [{ status: "pass", message: `the chart will bring ${namesIn(absent)}` }];
  const action = "helm upgrade with crds.install=true brings them";
  return [{ status: "fail", message: `not installed, and so not read: ${namesIn(absent)}`, action }];
}

function foreignNote(kinds: readonly string[]): readonly Outcome[] {
  return kinds.length === 0
    ? []
    : [{ status: "pass", message: `installed by somebody else and used as they are: ${namesIn(kinds)}` }];
}

function defines({ spec }: KubernetesObject, { apiVersions, kind }: KindSchema): boolean {
  return isRecord(spec) && spec.group === groupOf(apiVersions[0]) && isRecord(spec.names) && spec.names.kind === kind;
}

function isOurs({ metadata }: KubernetesObject): boolean {
  return metadata.labels?.["app.kubernetes.io/part-of"] === "trysail";
}

function problemsOf({ kind, apiVersions, schema }: KindSchema, definition: KubernetesObject): readonly Outcome[] {
  const name = definition.metadata.name ?? "";
  const spec = isRecord(definition.spec) ? definition.spec : {};
  const written: readonly unknown[] = Array.isArray(spec.versions) ? spec.versions : [];
  const served = written.filter(isRecord).filter((version) => version.served === true);
  const versionOf = (apiVersion: string) => apiVersion.slice(apiVersion.indexOf("/") + 1);
  const best = apiVersions.map(versionOf).find((wanted) => served.some((version) => version.name === wanted));
  const action = isOurs(definition)
    ? "helm upgrade the release that brought it"
    : "upgrade what brought it, or delete it where nothing uses it, and helm upgrade brings ours";
  if (best === undefined) {
    const message = `${name} serves none of ${apiVersions.map(versionOf).join(", ")}: ${kind} cannot be read`;
    return [{ status: "fail", message, action }];
  }
  const version = served.find(({ name: one }) => one === best);
  const structural = isRecord(version?.schema) ? version.schema.openAPIV3Schema : undefined;
  const known = isRecord(structural) && isRecord(structural.properties) ? structural.properties.spec : undefined;
  const wanted = schema.properties.spec;
  const missing = wanted === undefined || isOpen(structural) ? [] : missingFields(wanted, known, "spec");
  if (missing.length === 0) return [];
  const message = `${name} is older: the API server drops ${namesIn(missing)}`;
  return [{ status: "warn", message, action }];
}

/** Fields of ours that a structural schema does not have, which the API server would prune. Sorted as declared. */
function missingFields(wanted: TSchema, known: unknown, path: string): readonly string[] {
  if (isOpen(known)) return [];
  if (!isRecord(known)) return [path];
  if (Type.IsUnion(wanted)) {
    return [...new Set(wanted.anyOf.flatMap((option) => missingFields(option, known, path)))];
  }
  if (Type.IsArray(wanted)) return missingFields(wanted.items, known.items, `${path}[]`);
  if (!Type.IsObject(wanted)) return [];
  const properties = isRecord(known.properties) ? known.properties : {};
  return Object.entries(wanted.properties).flatMap(([name, field]) =>
    missingFields(field, properties[name], `${path}.${name}`),
  );
}

function isOpen(known: unknown): boolean {
  return isRecord(known) && known["x-kubernetes-preserve-unknown-fields"] === true;
}
