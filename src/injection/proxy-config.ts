import { Compile } from "typebox/compile";
import { checkProxyConfig } from "../mesh/check-proxy-config.ts";
import { conform } from "../mesh/conform.ts";
import { ProxyConfig } from "../mesh/istio/mesh-proxy-config.ts";
import { TrysailError } from "../platform/errors.ts";
import { parseAnnotationYaml } from "./annotation-yaml.ts";

const validator = Compile(ProxyConfig);

/** What was read, and one sentence for every field that Istio does not have either. */
export interface ReadProxyConfig {
  readonly config: ProxyConfig;
  readonly warnings: readonly string[];
}

/** @throws TrysailError `invalid-argument` naming `source` and the field that is not as it must be. */
export function parseProxyConfig(text: string, source: string): ReadProxyConfig {
  return readProxyConfig(parseAnnotationYaml(text, source) ?? {}, source);
}

/** @throws TrysailError `invalid-argument` naming `source` and the field that is not as it must be. */
export function readProxyConfig(value: unknown, source: string): ReadProxyConfig {
  const { value: config, mismatches, unknownFields } = conform(ProxyConfig, value);
  const [mismatch] = mismatches;
  if (mismatch !== undefined || !validator.Check(config)) {
    const field = mismatch?.path ? `field ${mismatch.path} ` : "";
    throw new TrysailError("invalid-argument", `${source}: ${field}${mismatch?.reason ?? "is not a ProxyConfig"}`);
  }
  const [problem] = checkProxyConfig(config);
  if (problem) throw new TrysailError("invalid-argument", `${source}: field ${problem.path} ${problem.reason}`);
  return {
    config,
    warnings: unknownFields.map((field) => `${source}: ProxyConfig has no field ${field}, so it has no effect`),
  };
}

/** `over` where it says something, else `base`; proxyMetadata is merged name by name. Istio's rule. */
export function mergeProxyConfig(base: ProxyConfig, over: ProxyConfig): ProxyConfig {
  const proxyMetadata = { ...base.proxyMetadata, ...over.proxyMetadata };
  const merged: ProxyConfig = Object.assign({}, base, over);
  return Object.keys(proxyMetadata).length === 0 ? merged : Object.assign(merged, { proxyMetadata });
}
