import type { EventRecorder } from "../kubernetes/event-recorder.ts";
import type { Finding } from "../mesh/finding.ts";
import type { Clock } from "../platform/clock.ts";

export interface FindingEventsDeps {
  readonly clock: Clock;
  readonly events: Pick<EventRecorder, "record">;
  /** The control plane's own, which is told on where it cannot read what there is. */
  readonly systemNamespace: string;
  readonly instance: string;
  findings(): readonly Finding[];
}

/** Their status, where they have one, is not the mesh's to write. */
const KINDS = new Set(["ConfigMap", "Secret"]);
const LOOK_EVERY_MS = 5000;
/** Kubernetes forgets Events behind an hour, and the object is as wrong as it was. */
const TELL_AGAIN_MS = 55 * 60_000;

/**
 * Tells of what is wrong with ConfigMaps and Secrets that the mesh reads, on them, and of what may not be read at all, on the
 * control plane's own pod. Returns the stop.
 */
export function startFindingEvents(deps: FindingEventsDeps): () => void {
  const { clock, events, findings } = deps;
  const ownPod = { kind: "Pod", namespace: deps.systemNamespace, name: deps.instance };
  /** When each was last told of. */
  let told = new Map<string, number>();
  let cancel = () => {};

  const look = (): void => {
    const now = clock.elapsed();
    const still = new Map<string, number>();
    for (const { severity, message, code, object = code === "source-unreadable" ? ownPod : undefined } of findings()) {
      if (severity !== "error" || object === undefined || !(object === ownPod || KINDS.has(object.kind))) continue;
      const key = `${object.kind} ${object.namespace}/${object.name} ${message}`;
      const lastAt = told.get(key);
      const isDue = lastAt === undefined || now - lastAt >= TELL_AGAIN_MS;
      still.set(key, isDue ? now : lastAt);
      if (!isDue) continue;
      const regarding = { apiVersion: "v1", ...object };
      const reason = object === ownPod ? "ConfigurationUnreadable" : "ConfigurationUnusable";
      events.record({ regarding, type: "Warning", reason, action: "Read", note: message });
    }
    told = still;
    cancel = clock.after(LOOK_EVERY_MS, look);
  };

  cancel = clock.after(0, look);
  return () => cancel();
}
