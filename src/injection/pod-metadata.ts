import { LABEL } from "./labels.ts";
import type { PlanContext } from "./plan-context.ts";
import { annotationsOf, labelsOf } from "./pod.ts";
import { CONTAINER_NAME } from "./pod-contract.ts";

/** What a pod gets unless it says so itself. https://istio.io/latest/docs/reference/config/labels/ */
export function missingLabels({ pod, owner, config, role }: PlanContext): Record<string, string> {
  const labels = labelsOf(pod);
  return missing(labels, {
    ...(role === "sidecar" ? { [LABEL.tlsMode.name]: "istio" } : {}),
    [LABEL.canonicalName.name]: labels["app.kubernetes.io/name"] ?? labels.app ?? asLabel(owner.name),
    [LABEL.canonicalRevision.name]: labels["app.kubernetes.io/version"] ?? labels.version ?? "latest",
    ...config.injectedLabels,
  });
}

/** Names may be four times as long as labels: their beginning, which is still a label, as Istio has it. */
function asLabel(name: string): string {
  return name.slice(0, 63).replace(/[-.]+$/, "");
}

/** What a pod gets unless it says so itself, and what Prometheus is told in place of what the pod says. */
export function newAnnotations({ pod, config, metrics }: PlanContext): Record<string, string> {
  const first = pod.spec.containers.find(({ name }) => name !== CONTAINER_NAME.proxy) ?? pod.spec.containers[0];
  const annotations = annotationsOf(pod);
  const wanted = missing(annotations, {
    // Where `kubectl logs` and `kubectl exec` go when they are not told.
    "kubectl.kubernetes.io/default-container": first?.name ?? "",
    "kubectl.kubernetes.io/default-logs-container": first?.name ?? "",
    ...config.injectedAnnotations,
  });
  return { ...metrics.annotations, ...wanted };
}

function missing(present: Readonly<Record<string, string>>, wanted: Record<string, string>): Record<string, string> {
  const keys = Object.keys(wanted);
  if (!keys.some((key) => Object.hasOwn(present, key))) return wanted;
  return Object.fromEntries(Object.entries(wanted).filter(([key]) => !Object.hasOwn(present, key)));
}
