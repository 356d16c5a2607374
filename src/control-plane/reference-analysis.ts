import { createReferenceAnalyzer } from "../mesh/analyze.ts";
import type { Finding } from "../mesh/finding.ts";
import type { KnownObject } from "../mesh/kinds.ts";
import type { MeshConfig } from "../mesh/mesh-config.ts";

interface AnalysisDeps {
  objects(): readonly KnownObject[];
  config(): MeshConfig;
}

/** Analyzes one object by what the mesh defines now; the index for that is made once for each state of the mesh. */
export function createReferenceAnalysis({
  objects,
  config,
}: AnalysisDeps): (object: KnownObject) => readonly Finding[] {
  let indexed: { objects: readonly KnownObject[]; config: MeshConfig } | undefined;
  let analyze: (object: KnownObject) => readonly Finding[] = () => [];
  return (object) => {
    const now = { objects: objects(), config: config() };
    if (indexed?.objects !== now.objects || indexed.config !== now.config) {
      analyze = createReferenceAnalyzer(now.objects, now.config);
      indexed = now;
    }
    return analyze(object);
  };
}
