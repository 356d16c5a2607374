import type { PodStatus } from "./pod-status.ts";

/** What a run measured, as `report.json` in the state folder; times in milliseconds. */
export interface Report {
  /** Of every pod that the webhook reviewed, in the order of `pods`. */
  readonly reviewMs: readonly number[];
  readonly controlPlane: { readonly pid?: number; readonly restarts: number };
  readonly pods: readonly {
    readonly namespace: string;
    readonly name: string;
    readonly ip?: string;
    /** The webhook changed the pod. */
    readonly patched: boolean;
    readonly reviewMs?: number;
    readonly restarts: number;
    /** From its creation until it was ready for the first time. */
    readonly startMs?: number;
  }[];
}

export function buildReport(
  pods: readonly PodStatus[],
  controlPlane: { pid: number | undefined; restarts: number },
): Report {
  const { pid, restarts } = controlPlane;
  return {
    reviewMs: pods.flatMap(({ admission }) => (admission === undefined ? [] : [admission.reviewMs])),
    controlPlane: { ...(pid === undefined ? {} : { pid }), restarts },
    pods: pods.map((status) => ({
      namespace: status.namespace,
      name: status.name,
      ...(status.pod === undefined ? {} : { ip: status.pod.ip }),
      patched: status.admission?.patched ?? false,
      ...(status.admission === undefined ? {} : { reviewMs: status.admission.reviewMs }),
      restarts: [...status.initContainers, ...status.containers].reduce(
        (sum, container) => sum + container.restarts,
        0,
      ),
      ...(status.readyAt === undefined ? {} : { startMs: status.readyAt - status.createdAt }),
    })),
  };
}
