import { type Static, type TSchema, Type } from "typebox";
import { Compile } from "typebox/compile";
import { parse as parseYaml } from "yaml";
import { messageOf } from "../platform/errors.ts";
import { conform, isRecord, joinPath } from "./conform.ts";
import type { Finding } from "./finding.ts";
import type { ConfigMap } from "./kubernetes/core.ts";
import { refOf } from "./object.ts";
import { ownValue } from "./own-value.ts";

/** The part of Istio's MeshConfig that is read today: https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/ */
const MeshConfigYaml = Type.Object({
  trustDomain: Type.Optional(Type.String({ minLength: 1 })),
  rootNamespace: Type.Optional(Type.String({ minLength: 1 })),
  enableAutoMtls: Type.Optional(Type.Boolean()),
  outboundTrafficPolicy: Type.Optional(
    Type.Object(
      { mode: Type.Optional(Type.Union([Type.Literal("ALLOW_ANY"), Type.Literal("REGISTRY_ONLY")])) },
      { additionalProperties: false },
    ),
  ),
});
type MeshConfigYaml = Static<typeof MeshConfigYaml>;
const validator = Compile(MeshConfigYaml);

/** Mesh-wide settings with every default filled in. */
export interface MeshConfig {
  readonly trustDomain: string;
  /**
   * Policies of these namespaces hold for the whole mesh. Where `rootNamespace` is not set they are the control plane's
   * own and Istio's, so that what was written for Istio keeps its reach.
   */
  readonly rootNamespaces: readonly string[];
  /** DNS suffix of service names. */
  readonly domain: string;
  readonly enableAutoMtls: boolean;
  readonly outboundTrafficPolicy: "ALLOW_ANY" | "REGISTRY_ONLY";
}

export const defaultMeshConfig: Omit<MeshConfig, "trustDomain"> = Object.freeze({
  rootNamespaces: Object.freeze(["trysail-system", "istio-system"]),
  domain: "cluster.local",
  enableAutoMtls: true,
  outboundTrafficPolicy: "ALLOW_ANY",
});

/** The ConfigMaps that hold a MeshConfig under `data.mesh`, the first one that exists wins. */
const HOLDERS = ["trysail-system/istio", "istio-system/istio"];

export function meshConfigHolder(configMaps: readonly ConfigMap[]): ConfigMap | undefined {
  for (const holder of HOLDERS) {
    const found = configMaps.find(({ metadata }) => `${metadata.namespace}/${metadata.name}` === holder);
    if (found?.data?.mesh !== undefined) return found;
  }
  return undefined;
}

/** The settings where no ConfigMap holds any. */
export function buildDefaultMeshConfig(trustDomain: string): MeshConfig {
  return Object.freeze({ ...defaultMeshConfig, trustDomain });
}

/**
 * The settings in one ConfigMap. What cannot be read becomes a Finding and stays as it was in `last`, so that a typing
 * mistake opens nothing; what is not written has its default. The trust domain is the one of the mesh's root, so a
 * ConfigMap can only agree with it.
 */
export function parseMeshConfig(holder: ConfigMap, last: MeshConfig): { config: MeshConfig; findings: Finding[] } {
  const findings: Finding[] = [];
  const report = (severity: Finding["severity"], code: Finding["code"], message: string, field: string) =>
    findings.push({ severity, code, message, field, object: refOf(holder), origin: holder.origin });
  let yaml: unknown;
  try {
    yaml = parseYaml(holder.data?.mesh ?? "", { maxAliasCount: 0 }) ?? {};
  } catch (error) {
    report("error", "document-malformed", `the mesh config is not YAML: ${messageOf(error)}`, "data.mesh");
    return { config: last, findings };
  }
  if (!isRecord(yaml)) {
    report("error", "schema-invalid", "the mesh config must be a mapping of fields", "data.mesh");
    return { config: last, findings };
  }
  const { settings, refused } = usableFields(yaml, report);
  if (settings.trustDomain !== undefined && settings.trustDomain !== last.trustDomain) {
    const message = `the mesh's root is of trust domain ${last.trustDomain}, so ${settings.trustDomain} has no effect; start the control plane with --trust-domain ${settings.trustDomain} on a new state folder`;
    report("error", "value-invalid", message, "data.mesh.trustDomain");
  }
  const fallback = (field: keyof MeshConfigYaml) => (refused.has(field) ? last : defaultMeshConfig);
  const config = Object.freeze({
    ...defaultMeshConfig,
    trustDomain: last.trustDomain,
    rootNamespaces:
      settings.rootNamespace === undefined ? fallback("rootNamespace").rootNamespaces : [settings.rootNamespace],
    enableAutoMtls: settings.enableAutoMtls ?? fallback("enableAutoMtls").enableAutoMtls,
    outboundTrafficPolicy:
      settings.outboundTrafficPolicy?.mode ?? fallback("outboundTrafficPolicy").outboundTrafficPolicy,
  });
  return { config, findings };
}

type Report = (severity: Finding["severity"], code: Finding["code"], message: string, field: string) => void;

/** Each field stands for itself: a mistake in one must not undo what another one closes. */
function usableFields(
  yaml: Record<string, unknown>,
  report: Report,
): { settings: MeshConfigYaml; refused: ReadonlySet<string> } {
  const unsupported = (field: string) =>
    report("warning", "field-unsupported", `mesh config field ${field} is not supported and has no effect`, field);
  const usable: Record<string, unknown> = {};
  const refused = new Set<string>();
  for (const [key, written] of Object.entries(yaml)) {
    const path = joinPath("data.mesh", key);
    const schema = ownValue<TSchema>(MeshConfigYaml.properties, key);
    if (schema === undefined) unsupported(path);
    if (schema === undefined || written === null) continue;
    const { value, mismatches, unknownFields } = conform(schema, written);
    for (const field of unknownFields) unsupported(`${path}.${field}`);
    for (const mismatch of mismatches) {
      const field = mismatch.path === "" ? path : `${path}.${mismatch.path}`;
      report("error", "schema-invalid", `${field} ${mismatch.reason}`, field);
    }
    if (mismatches.length === 0) usable[key] = value;
    else refused.add(key);
  }
  return { settings: validator.Check(usable) ? usable : {}, refused };
}
