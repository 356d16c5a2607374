import { interceptsInPod, type PlanContext } from "./plan-context.ts";

/** What will not go as its author may expect, one sentence each. */
export function planWarnings(context: PlanContext): readonly string[] {
  const { metrics } = context;
  return [...bypassing(context), ...classic(context), ...draining(context), ...metrics.warnings];
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

function classic({ settings, owner, role }: PlanContext): readonly string[] {
  if (role === "gateway" || settings.isNative) return [];
  const isJob = owner.kind === "Job" || owner.kind === "CronJob";
  return [...(isJob ? [`the ${owner.kind} will not complete, for its sidecar goes on: use a native sidecar`] : [])];
}

function draining({ pod, settings, role }: PlanContext): readonly string[] {
  const grace = pod.spec.terminationGracePeriodSeconds ?? 30;
  const { terminationSeconds, untilIdleSeconds } = settings.drain;
  const isNative = role === "sidecar" && settings.isNative;
  const seconds = isNative ? terminationSeconds : (untilIdleSeconds ?? terminationSeconds);
  if (seconds <= grace) return [];
  return [`the proxy would drain for ${seconds}s, but terminationGracePeriodSeconds ends the pod after ${grace}s`];
}
