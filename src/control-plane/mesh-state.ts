import type { Finding } from "../mesh/finding.ts";
import type { MeshConfig } from "../mesh/mesh-config.ts";
import type { ObjectSet } from "../mesh/object-set.ts";
import { createSnapshotBuilder, type MeshSnapshot } from "../mesh/snapshot.ts";
import type { Clock } from "../platform/clock.ts";
import type { Source } from "../sources/source.ts";
import { createDebounce } from "../xds/debounce.ts";

export interface MeshStateDeps {
  readonly source: Source;
  readonly clock: Clock;
  readonly trustDomain: string;
  readonly analyze: (objects: ObjectSet["objects"], config: MeshConfig) => readonly Finding[];
  readonly onChange: (mesh: MeshSnapshot) => void;
  readonly onFindings: (findings: readonly Finding[]) => void;
}

export interface MeshState {
  current(): MeshSnapshot;
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
  analyze,
  onChange,
  onFindings,
}: MeshStateDeps): MeshState {
  const snapshots = createSnapshotBuilder(trustDomain);
  let seen = source.current();
  let mesh = snapshots.build(seen);
  const reportFindings = () => onFindings([...mesh.findings, ...analyze(seen.objects, mesh.config)]);

  const flush = () => {
    mesh = snapshots.build(source.current());
    onChange(mesh);
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
    changes.push({ urgent: onlyEndpointsDiffer(seen, set) });
    findings.push(set);
    seen = set;
  });
  reportFindings();
  return {
    current: () => mesh,
    stop() {
      unsubscribe();
      changes.stop();
      findings.stop();
    },
  };
}

function onlyEndpointsDiffer(before: ObjectSet, after: ObjectSet): boolean {
  const rest = ({ objects }: ObjectSet) => objects.filter(({ kind }) => kind !== "EndpointSlice" && kind !== "Pod");
  const [old, now] = [rest(before), rest(after)];
  return old.length === now.length && old.every((object, i) => object === now[i]);
}
