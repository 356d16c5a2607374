import { labelsOf, nameOf, type PodManifest } from "./pod.ts";

/** The workload a pod belongs to, as its user knows it: the Deployment rather than its ReplicaSet. */
export interface Owner {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
}

/** What makes and replaces the pod, such as a ReplicaSet or a Job. */
export function controllerOf(pod: PodManifest): (Owner & { readonly uid?: string }) | undefined {
  const controller = pod.metadata?.ownerReferences?.find((reference) => reference.controller === true);
  if (!controller) return undefined;
  const { apiVersion, kind, name, uid } = controller;
  return { apiVersion, kind, name, ...(uid ? { uid } : {}) };
}

export function ownerOf(pod: PodManifest): Owner {
  const controller = controllerOf(pod);
  if (!controller) return { apiVersion: "v1", kind: "Pod", name: nameOf(pod) };
  const { apiVersion, kind, name } = controller;

  const templateHash = labelsOf(pod)["pod-template-hash"];
  if (kind === "ReplicaSet" && templateHash && name.endsWith(`-${templateHash}`)) {
    return { apiVersion, kind: "Deployment", name: name.slice(0, -templateHash.length - 1) };
  }
  // A CronJob names its Jobs after itself and the minute (older ones: the second) they are for.
  const cronJob = kind === "Job" ? /^(.+)-[0-9]{8,10}$/.exec(name)?.[1] : undefined;
  return cronJob ? { apiVersion, kind: "CronJob", name: cronJob } : { apiVersion, kind, name };
}

/** The form in which Istio's node metadata names it. */
export function ownerUri(owner: Owner, namespace: string): string {
  const plural = `${owner.kind.toLowerCase()}s`;
  return `kubernetes://apis/${owner.apiVersion}/namespaces/${namespace}/${plural}/${owner.name}`;
}
