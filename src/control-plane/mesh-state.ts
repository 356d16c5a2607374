import { discovered } from "../mesh/discovery-selectors.ts";
import type { Finding } from "../mesh/finding.ts";
import type { MeshConfig } from "../mesh/mesh-config.ts";
import type { ObjectSet } from "../mesh/object-set.ts";
import { objectsElsewhere } from "../mesh/objects-elsewhere.ts";
import { outlinedObjects } from "../mesh/outlined-objects.ts";
import { createSnapshotBuilder, type MeshSnapshot } from "../mesh/snapshot.ts";
import type { Clock } from "../platform/clock.ts";
import { sameMembers } from "../platform/same-members.ts";
import type { Source } from "../sources/source.ts";
import { createDebounce } from "../xds/debounce.ts";

export interface MeshStateDeps {
  readonly source: Source;
  readonly clock: Clock;
  readonly trustDomain: string;
  readonly systemNamespace: string;
  /** The name of the cluster that the mesh's own objects are of. */
  readonly clusterId: string;
  /** Looks at `objects`, which may refer to what is `elsewhere`. */
  readonly analyze: (
    objects: ObjectSet["objects"],
    config: MeshConfig,
    elsewhere: ObjectSet["objects"],
  ) => readonly Finding[];
  /** `seenAtMs` is when the first of the changes that are in it was seen, in ms since the Unix epoch. */
  readonly onChange: (mesh: MeshSnapshot, seenAtMs: number) => void;
  /** `objects` are those that were looked at. */
  readonly onFindings: (findings: readonly Finding[], objects: ObjectSet["objects"]) => void;
}

export interface MeshState {
  current(): MeshSnapshot;
  /** What that was built from. */
  objects(): ObjectSet["objects"];
  stop(): void;
}

const QUIET_MS = 10;
const MAX_WAIT_MS = 100;

/**
 * Follows a source that has started: a snapshot for each change that is worth one. Changes of endpoints go at once,
 * others wait for those that come with them.
 */
export function createMeshState({
  source,
  clock,
  trustDomain,
  systemNamespace,
  clusterId,
  analyze,
  onChange,
  onFindings,
}: MeshStateDeps): MeshState {
  const snapshots = createSnapshotBuilder(trustDomain, { systemNamespace, cluster: clusterId });
  let seen = source.current();
  let built = seen;
  let mesh = snapshots.build(built);
  const reportFindings = () => {
    const { config, findings: known } = mesh;
    const found = analyze(discovered(seen.objects, config), config, objectsElsewhere(seen, config));
    onFindings([...known, ...found], seen.objects);
  };

  let seenAtMs: number | null = null;
  const flush = () => {
    const since = seenAtMs ?? clock.now();
    seenAtMs = null;
    built = source.current();
    mesh = snapshots.build(built);
    onChange(mesh, since);
  };
  // Looking for dangling references reads the whole mesh, and nobody waits for it.
  const findings = createDebounce<ObjectSet>({
    quietMs: 500,
    maxWaitMs: 5000,
    clock,
    isUrgent: () => false,
    flush: reportFindings,
  });
  const changes = createDebounce<{ readonly urgent: boolean }>({
    quietMs: QUIET_MS,
    maxWaitMs: MAX_WAIT_MS,
    clock,
    isUrgent: ({ urgent }) => urgent,
    flush,
  });
  const unsubscribe = source.onChange((set) => {
    seenAtMs ??= clock.now();
    changes.push({ urgent: sameMembers(outlinedObjects(seen), outlinedObjects(set)) });
    findings.push(set);
    seen = set;
  });
  reportFindings();
  return {
    current: () => mesh,
    objects: () => built.objects,
    stop() {
      unsubscribe();
      changes.stop();
      findings.stop();
    },
  };
}
