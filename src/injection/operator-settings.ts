import { type Static, type TSchema, Type } from "typebox";
import { Check } from "typebox/value";
import { conform, isRecord } from "../mesh/conform.ts";
import { TrysailError } from "../platform/errors.ts";
import type { InjectionConfig } from "./injection-config.ts";
import { type ReadProxyConfig, readProxyConfig } from "./proxy-config.ts";

/** What an operator's file says about injection, and what in it has no effect. */
export interface OperatorSettings {
  readonly config: Partial<InjectionConfig>;
  readonly warnings: readonly string[];
}

/**
 * Injection's part of a MeshConfig; the rest of one concerns the control plane.
 * https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/
 *
 * @throws TrysailError `invalid-argument` naming `source` and the field.
 */
export function readMeshSettings(value: unknown, source: string): OperatorSettings {
  const { defaultConfig, enablePrometheusMerge } = readSettings(MeshSettings, value, source).value;
  const proxy: ReadProxyConfig =
    defaultConfig === undefined
      ? { config: {}, warnings: [] }
      : readProxyConfig(defaultConfig, `${source}: defaultConfig`);
  return {
    config: given({
      proxyConfig: proxy.config,
      discoveryAddress: proxy.config.discoveryAddress,
      mergeMetrics: enablePrometheusMerge,
    }),
    warnings: proxy.warnings,
  };
}

const MeshSettings = Type.Object({
  defaultConfig: Type.Optional(Type.Unknown()),
  enablePrometheusMerge: Type.Optional(Type.Boolean()),
});

/** Only what is said: the rest keeps its defaults. */
export function given<T extends object>(settings: { readonly [K in keyof T]?: T[K] | undefined }): Partial<T> {
  const said: Partial<T> = {};
  return Object.assign(said, Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined)));
}

export function readSettings<T extends TSchema>(
  schema: T,
  value: unknown,
  source: string,
): { value: Static<T>; unknownFields: readonly string[] } {
  const { value: fitted, mismatches, unknownFields } = conform(schema, value ?? {});
  const [mismatch] = mismatches;
  if (mismatch === undefined && isRecord(fitted) && Check(schema, fitted)) return { value: fitted, unknownFields };
  throw new TrysailError(
    "invalid-argument",
    `${source}: ${mismatch?.path || "the file"} ${mismatch?.reason ?? "is not valid"}`,
  );
}
