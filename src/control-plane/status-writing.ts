import type { ServedKind } from "../kubernetes/discover-kinds.ts";
import type { ReplicaReports } from "../kubernetes/replica-reports.ts";
import { createStatusKeeper, type StatusKeeperDeps } from "../kubernetes/status-keeper.ts";
import { isConfiguration } from "../status/build-statuses.ts";
import type { ObjectStatuses } from "./object-statuses.ts";

export interface StatusWritingDeps extends StatusKeeperDeps {
  readonly reports: Pick<ReplicaReports<object>, "lead">;
  readonly statuses: Pick<ObjectStatuses, "current">;
  /** What the API server serves now. */
  served(): readonly ServedKind[];
}

/** What is found and answered within this time is written together. */
const LOOK_EVERY_MS = 1000;

/** Writes what became of the mesh's configuration on its objects. Returns the stop. */
export function startStatusWriting(deps: StatusWritingDeps): () => void {
  const { clock, statuses, served, reports } = deps;
  const stopReading = reports.lead();
  const keeper = createStatusKeeper(deps);
  let cancel = () => {};
  const look = (): void => {
    cancel = clock.after(LOOK_EVERY_MS, look);
    keeper.setStatuses(
      statuses.current(),
      served().filter(({ entry }) => isConfiguration(entry.kind)),
    );
  };
  look();
  return () => {
    cancel();
    stopReading();
    keeper.stop();
  };
}
