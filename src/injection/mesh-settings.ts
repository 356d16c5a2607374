import type { MeshConfig } from "../mesh/mesh-config.ts";
import type { InjectionConfig } from "./injection-config.ts";
import { mergeProxyConfig } from "./proxy-config.ts";

const NO_TAGS: readonly string[] = Object.freeze([]);

/**
 * What the mesh's own configuration, and the tags that lead here, say about injected pods, over what the operator's file
 * says. The same object for the same of these, so that it is worked out once a change.
 */
export function createMeshSettings(
  config: InjectionConfig,
  mesh: () => MeshConfig,
  tags: () => readonly string[] = () => NO_TAGS,
): () => InjectionConfig {
  let built:
    | { readonly from: MeshConfig; readonly tags: readonly string[]; readonly config: InjectionConfig }
    | undefined;
  return () => {
    const [from, now] = [mesh(), tags()];
    if (built?.from !== from || built.tags !== now) {
      const revisionTags = [...config.revisionTags, ...now];
      built = { from, tags: now, config: { ...withMeshSettings(config, from), revisionTags } };
    }
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
