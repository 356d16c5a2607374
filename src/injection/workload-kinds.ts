const TEMPLATE = ["spec", "template"] as const;

const KNATIVE = "serving.knative.dev";

/** Where each kind that makes pods keeps them, by API group. */
const templatePaths: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  "": { Pod: [], ReplicationController: TEMPLATE },
  apps: { DaemonSet: TEMPLATE, Deployment: TEMPLATE, ReplicaSet: TEMPLATE, StatefulSet: TEMPLATE },
  // Where Kubernetes had these before version 1.16.
  extensions: { DaemonSet: TEMPLATE, Deployment: TEMPLATE, ReplicaSet: TEMPLATE },
  batch: { CronJob: ["spec", "jobTemplate", "spec", "template"], Job: TEMPLATE },
  "apps.openshift.io": { DeploymentConfig: TEMPLATE },
  "argoproj.io": { Rollout: TEMPLATE },
  [KNATIVE]: { Configuration: TEMPLATE, Service: TEMPLATE },
};

/** Undefined for kinds that make no pods. */
export function podTemplatePath(apiVersion: string, kind: string): readonly string[] | undefined {
  const group = groupOf(apiVersion);
  const kinds = Object.hasOwn(templatePaths, group) ? templatePaths[group] : undefined;
  return kinds !== undefined && Object.hasOwn(kinds, kind) ? kinds[kind] : undefined;
}

/** Whose containers may do without names. */
export function isKnative(apiVersion: string): boolean {
  return groupOf(apiVersion) === KNATIVE;
}

function groupOf(apiVersion: string): string {
  return apiVersion.includes("/") ? apiVersion.slice(0, apiVersion.indexOf("/")) : "";
}
