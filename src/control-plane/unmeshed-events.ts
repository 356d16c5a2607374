import type { EventRecorder } from "../kubernetes/event-recorder.ts";
import type { MeshSnapshot } from "../mesh/snapshot.ts";
import type { Clock } from "../platform/clock.ts";
import type { UnmeshedPod } from "./unmeshed.ts";

export interface UnmeshedEventsDeps {
  readonly clock: Clock;
  readonly events: EventRecorder;
  mesh(): Pick<MeshSnapshot, "pods">;
  unmeshed(): readonly UnmeshedPod[];
}

const LOOK_EVERY_MS = 30_000;
/** Kubernetes forgets Events behind an hour, and the pod still has no sidecar. */
const TELL_AGAIN_MS = 55 * 60_000;

const NOTE =
  "The pod should have a sidecar and has none: it was created while the control plane was away, or before it was to be injected. Delete it, or restart its workload, and the new one gets a sidecar.";

/** Tells of pods that lack a sidecar, on the pods. Returns the stop. */
export function startUnmeshedEvents({ clock, events, mesh, unmeshed }: UnmeshedEventsDeps): () => void {
  /** When each was last told of, by uid. */
  let told = new Map<string, number>();
  let cancel = () => {};

  const look = (): void => {
    const now = clock.now();
    const still = new Map<string, number>();
    for (const { namespace, pod } of unmeshed()) {
      const uid = mesh().pods.get(`${namespace}/${pod}`)?.metadata.uid;
      if (uid === undefined) continue;
      const lastAt = told.get(uid);
      const isDue = lastAt === undefined || now - lastAt >= TELL_AGAIN_MS;
      still.set(uid, isDue ? now : lastAt);
      if (!isDue) continue;
      const regarding = { apiVersion: "v1", kind: "Pod", namespace, name: pod, uid };
      events.record({ regarding, type: "Warning", reason: "SidecarMissing", action: "Audit", note: NOTE });
    }
    told = still;
    cancel = clock.after(LOOK_EVERY_MS, look);
  };

  cancel = clock.after(0, look);
  return () => cancel();
}
