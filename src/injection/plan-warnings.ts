import { readAnnotation } from "./annotation-entry.ts";
import { ANNOTATION } from "./annotations.ts";
import { interceptsInPod, type PlanContext } from "./plan-context.ts";
import { annotationsOf } from "./pod.ts";
import { PROXY_PORT } from "./pod-contract.ts";

/** What will not go as its author may expect, one sentence each. */
export function planWarnings(context: PlanContext): readonly string[] {
  const { metrics } = context;
  return [
    ...bypassing(context),
    ...classic(context),
    ...draining(context),
    ...statusPort(context),
    ...metrics.warnings,
  ];
}

/** The rules know Envoy's own traffic by its user and group. */
function bypassing(context: PlanContext): readonly string[] {
  if (!interceptsInPod(context)) return [];
  const { pod, settings } = context;
  const ofPod = pod.spec.securityContext;
  return pod.spec.containers.flatMap(({ name, securityContext }) => {
    const user = securityContext?.runAsUser ?? ofPod?.runAsUser;
    const group = securityContext?.runAsGroup ?? ofPod?.runAsGroup;
    if (name === "istio-proxy" || (user !== settings.ids.user && group !== settings.ids.group)) return [];
    const id = user === settings.ids.user ? `user ${user}` : `group ${group}`;
    return [`container ${name} runs as ${id}, which is the sidecar's own, so its outgoing traffic bypasses the mesh`];
  });
}

/** Istio's agent would answer there; 0 says that the sidecar is not to be asked at all. */
function statusPort({ pod }: PlanContext): readonly string[] {
  const port = readAnnotation(annotationsOf(pod), ANNOTATION.statusPort) ?? 0;
  if (port === 0 || port === PROXY_PORT.status || port === PROXY_PORT.mergedMetrics) return [];
  const { status, mergedMetrics } = PROXY_PORT;
  return [
    `annotation ${ANNOTATION.statusPort.name}: ${port} has no effect: health stays on port ${status} and metrics on ${mergedMetrics}`,
  ];
}

function classic({ settings, owner, role }: PlanContext): readonly string[] {
  if (role === "gateway" || settings.isNative) return [];
  const isJob = owner.kind === "Job" || owner.kind === "CronJob";
  return [...(isJob ? [`the ${owner.kind} will not complete, for its sidecar goes on: use a native sidecar`] : [])];
}

function draining({ pod, settings, role }: PlanContext): readonly string[] {
  const grace = pod.spec.terminationGracePeriodSeconds ?? 30;
  const { terminationSeconds, untilIdleSeconds } = settings.drain;
  const seconds = untilIdleSeconds ?? terminationSeconds;
  if ((role === "sidecar" && settings.isNative) || seconds <= grace) return [];
  return [`the proxy would drain for ${seconds}s, but terminationGracePeriodSeconds ends the pod after ${grace}s`];
}
