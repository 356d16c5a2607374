import type { MeshConfig } from "../mesh/mesh-config.ts";
import type { InjectionConfig } from "./injection-config.ts";
import { mergeProxyConfig } from "./proxy-config.ts";

/**
 * What the mesh's own configuration says about injected pods, over what the operator's file says. The same object for
 * the same two, so that it is worked out once a change.
 */
export function createMeshSettings(config: InjectionConfig, mesh: () => MeshConfig): () => InjectionConfig {
  let built: { readonly from: MeshConfig; readonly config: InjectionConfig } | undefined;
  return () => {
    const from = mesh();
    if (built?.from !== from) built = { from, config: withMeshSettings(config, from) };
    return built.config;
  };
}

function withMeshSettings(config: InjectionConfig, mesh: MeshConfig): InjectionConfig {
  const { defaultConfig, enablePrometheusMerge } = mesh;
  return {
    ...config,
    ...(defaultConfig === null ? {} : { proxyConfig: mergeProxyConfig(config.proxyConfig, defaultConfig) }),
    ...(enablePrometheusMerge === null ? {} : { mergeMetrics: enablePrometheusMerge }),
  };
}
