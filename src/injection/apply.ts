import type { InjectionPlan } from "./plan.ts";
import type { Container, PodManifest } from "./pod.ts";

/** The pod with the plan carried out. A new pod; the parts that stay are shared with the one passed in. */
export function applyPlan(pod: PodManifest, plan: InjectionPlan): PodManifest {
  const { metadata, spec } = pod;
  const withProbes = (containers: readonly Container[]) =>
    containers.map((container) => rewriteProbes(container, plan));
  return {
    ...pod,
    metadata: {
      ...metadata,
      labels: { ...metadata?.labels, ...plan.labels },
      annotations: { ...metadata?.annotations, ...plan.annotations },
    },
    spec: {
      ...spec,
      initContainers: [...asContainers(plan), ...withProbes(spec.initContainers ?? [])],
      containers: withProbes(spec.containers),
      volumes: [...(spec.volumes ?? []), ...plan.volumes],
      ...(plan.fsGroup === null ? {} : { securityContext: { ...spec.securityContext, fsGroup: plan.fsGroup } }),
    },
  };
}

function rewriteProbes(container: Container, plan: InjectionPlan): Container {
  const rewrites = plan.probes.filter((rewrite) => rewrite.container === container.name);
  if (rewrites.length === 0) return container;
  return { ...container, ...Object.fromEntries(rewrites.map(({ field, probe }) => [field, probe])) };
}

function asContainers(plan: InjectionPlan): Container[] {
  return plan.initContainers.map((container) => ({ ...container }));
}
