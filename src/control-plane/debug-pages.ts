import { refOf } from "../mesh/object.ts";
import type { AdsService } from "../xds/ads-service.ts";
import { createCostView } from "./cost-view.ts";
import type { DebugDeps, DebugRow } from "./debug-server.ts";
import type { MeshFindings } from "./mesh-findings.ts";
import type { MeshSource } from "./mesh-source.ts";
import type { MeshState } from "./mesh-state.ts";
import type { ObjectStatuses } from "./object-statuses.ts";
import type { UnmeshedPod } from "./unmeshed.ts";

export interface DebugPagesDeps {
  readonly mesh: Pick<MeshState, "current" | "objects">;
  readonly findings: Pick<MeshFindings, "all">;
  readonly statuses: Pick<ObjectStatuses, "current">;
  readonly ads: Pick<AdsService, "sent" | "status">;
  readonly remotes: MeshSource["remotes"];
  readonly unmeshed: () => readonly UnmeshedPod[];
  /** To which other clusters belong. */
  readonly systemNamespace: string;
}

/** What docs/debug-pages.md lists, each row with the namespace that may see it. */
export function createDebugPages(deps: DebugPagesDeps): DebugDeps["pages"] {
  const { mesh, findings, statuses, ads, remotes, unmeshed, systemNamespace } = deps;
  const cost = createCostView({ sent: ads.sent, services: () => mesh.current().services });
  return {
    clusterz: () => rowsOf(remotes(), () => systemNamespace),
    cost: async () => rowsOf(await cost.objects(), ({ object }) => object.namespace),
    "cost/proxies": () => rowsOf(cost.proxies(), ({ namespace }) => namespace),
    objects: () => rowsOf(mesh.objects().map(refOf), ({ namespace }) => namespace),
    syncz: () => rowsOf(ads.status(), ({ namespace }) => namespace),
    unmeshed: () => rowsOf(unmeshed(), ({ namespace }) => namespace),
    findings: () => rowsOf(findings.all(), ({ object }) => object?.namespace ?? ""),
    status: () => rowsOf(statuses.current(), ({ object }) => object.namespace),
  };
}

function rowsOf<T extends object>(found: readonly T[], namespaceOf: (row: T) => string): DebugRow[] {
  return found.map((row) => ({ namespace: namespaceOf(row), row }));
}
