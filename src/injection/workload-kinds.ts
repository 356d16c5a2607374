/** Where each kind of manifest keeps the pods it makes. */
const templatePath: Readonly<Record<string, readonly string[]>> = {
  Pod: [],
  CronJob: ["spec", "jobTemplate", "spec", "template"],
  DaemonSet: ["spec", "template"],
  Deployment: ["spec", "template"],
  Job: ["spec", "template"],
  ReplicaSet: ["spec", "template"],
  StatefulSet: ["spec", "template"],
};

/** Undefined for kinds that make no pods. */
export function podTemplatePath(kind: string): readonly string[] | undefined {
  return Object.hasOwn(templatePath, kind) ? templatePath[kind] : undefined;
}
