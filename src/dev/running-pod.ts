import type { PodManifest } from "./pod.ts";

/** An admitted pod with all that its controller, the scheduler and the network gave it. */
export interface RunningPod {
  /** Name, uid and creationTimestamp are filled in. */
  readonly manifest: PodManifest;
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly ip: string;
  readonly node: { readonly name: string; readonly ip: string };
}

export function serviceAccountOf(pod: { readonly manifest: PodManifest }): string {
  return pod.manifest.spec.serviceAccountName ?? "default";
}
