import { createReferenceAnalyzer } from "../mesh/analyze.ts";
import type { Finding } from "../mesh/finding.ts";
import type { KnownObject } from "../mesh/kinds.ts";
import type { MeshConfig } from "../mesh/mesh-config.ts";
import type { ObjectSet } from "../mesh/object-set.ts";
import { objectsElsewhere } from "../mesh/objects-elsewhere.ts";

interface AnalysisDeps {
  current(): ObjectSet;
  config(): MeshConfig;
}

/** Analyzes one object by what the mesh defines now; the index for that is made once for each state of the mesh. */
export function createReferenceAnalysis({
  current,
  config,
}: AnalysisDeps): (object: KnownObject) => readonly Finding[] {
  let indexed: { set: ObjectSet; config: MeshConfig } | undefined;
  let analyze: (object: KnownObject) => readonly Finding[] = () => [];
  return (object) => {
    const now = { set: current(), config: config() };
    if (indexed?.set !== now.set || indexed.config !== now.config) {
      const { set, config } = now;
      analyze = createReferenceAnalyzer([...set.objects, ...objectsElsewhere(set, config)], config);
      indexed = now;
    }
    return analyze(object);
  };
}
