import { LABEL } from "./labels.ts";
import type { PlanContext } from "./plan-context.ts";
import { annotationsOf, labelsOf } from "./pod.ts";
import { CONTAINER_NAME, PROXY_PORT } from "./pod-contract.ts";

/** What a pod gets unless it says so itself. https://istio.io/latest/docs/reference/config/labels/ */
export function missingLabels({ pod, owner, config, role }: PlanContext): Record<string, string> {
  const labels = labelsOf(pod);
  return missing(labels, {
    ...(role === "sidecar" ? { [LABEL.tlsMode.name]: "istio" } : {}),
    [LABEL.canonicalName.name]: labels["app.kubernetes.io/name"] ?? labels.app ?? owner.name,
    [LABEL.canonicalRevision.name]: labels["app.kubernetes.io/version"] ?? labels.version ?? "latest",
    ...config.injectedLabels,
  });
}

export function missingAnnotations({ pod, config, settings }: PlanContext): Record<string, string> {
  const first = pod.spec.containers.find(({ name }) => name !== CONTAINER_NAME.proxy) ?? pod.spec.containers[0];
  const annotations = annotationsOf(pod);
  return missing(annotations, {
    // A pod that says anything about its metrics is left to say all of it.
    ...(settings.mergeMetrics && !Object.keys(annotations).some((name) => name.startsWith("prometheus.io/"))
      ? scrape
      : {}),
    // Where `kubectl logs` and `kubectl exec` go when they are not told.
    "kubectl.kubernetes.io/default-container": first?.name ?? "",
    "kubectl.kubernetes.io/default-logs-container": first?.name ?? "",
    ...config.injectedAnnotations,
  });
}

/** Where annotations tell Prometheus to look for metrics, here the proxy's. */
const scrape = {
  "prometheus.io/scrape": "true",
  "prometheus.io/port": String(PROXY_PORT.metrics),
  "prometheus.io/path": "/stats/prometheus",
};

function missing(present: Readonly<Record<string, string>>, wanted: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(wanted).filter(([key]) => !Object.hasOwn(present, key)));
}
