import type { Finding } from "./finding.ts";
import type { ConfigMap } from "./kubernetes/core.ts";
import {
  buildDefaultMeshConfig,
  emptiedMeshConfig,
  type MeshConfig,
  meshConfigHolder,
  parseMeshConfig,
} from "./mesh-config.ts";

/** The mesh config as it was last read, and from where. */
interface ReadConfig {
  readonly holder: ConfigMap | undefined;
  /** Where it was, which is there but says nothing any more. */
  readonly emptied: ConfigMap | undefined;
  readonly config: MeshConfig;
  readonly findings: readonly Finding[];
}

/**
 * Reads the mesh config of one set of ConfigMaps after the other: what is wrong in one leaves what the one before said. The
 * config keeps its identity while its ConfigMap does.
 */
export function createMeshConfigReader(
  trustDomain: string,
  systemNamespace: string,
): (all: readonly ConfigMap[]) => Pick<ReadConfig, "config" | "findings"> {
  const defaults = buildDefaultMeshConfig(trustDomain, systemNamespace);
  const shipped: ReadConfig = { holder: undefined, emptied: undefined, config: defaults, findings: [] };
  let read = shipped;
  return (all) => {
    const holder = meshConfigHolder(all, systemNamespace);
    if (holder === undefined) read = withoutHolder(read, all) ?? shipped;
    else if (holder !== read.holder) {
      read = { holder, emptied: undefined, ...parseMeshConfig(holder, { last: read.config, defaults }) };
    }
    return read;
  };
}

/**
 * What holds where no ConfigMap says anything. To empty one is a mistake like any other in it, so what it said stays; null where
 * it was deleted, by which whoever does that takes it back, as in Istio.
 */
function withoutHolder({ holder, emptied = holder, config }: ReadConfig, all: readonly ConfigMap[]): ReadConfig | null {
  if (emptied === undefined) return null;
  const { namespace, name } = emptied.metadata;
  if (!all.some(({ metadata }) => metadata.namespace === namespace && metadata.name === name)) return null;
  return { holder: undefined, emptied, config, findings: [emptiedMeshConfig(emptied)] };
}
