import { buildInitContainer } from "./init-container.ts";
import type { NamedObject } from "./new-container.ts";
import type { PlanContext } from "./plan-context.ts";
import { missingLabels, newAnnotations } from "./pod-metadata.ts";
import type { PodTemplate } from "./pod-template.ts";
import { buildSidecarContainer } from "./sidecar-container.ts";
import { buildVolumes } from "./volumes.ts";

/** An Envoy beside the app, and what prepares it. */
export function buildSidecarTemplate(context: PlanContext): PodTemplate {
  const sidecar = buildSidecarContainer(context);
  const isNative = context.settings.isNative;
  return withCommon(context, {
    initContainers: [buildInitContainer(context), ...(isNative ? [sidecar] : [])],
    ...(isNative ? {} : { containers: [sidecar] }),
  });
}

/** A pod that is an Envoy: its container `istio-proxy`, often no more than a name and `image: auto`, becomes one. */
export function buildGatewayTemplate(context: PlanContext): PodTemplate {
  const proxy = buildSidecarContainer(context);
  return withCommon(context, { initContainers: [buildInitContainer(context)], containers: [proxy] });
}

interface Containers {
  readonly initContainers: NamedObject[];
  readonly containers?: NamedObject[];
}

function withCommon(context: PlanContext, containers: Containers): PodTemplate {
  const { config, settings } = context;
  const securityContext = podSecurity(context);
  return {
    metadata: { labels: missingLabels(context), annotations: newAnnotations(context) },
    spec: {
      ...containers,
      volumes: [...buildVolumes(config, settings)],
      ...(config.imagePullSecrets.length === 0
        ? {}
        : { imagePullSecrets: config.imagePullSecrets.map((name) => ({ name })) }),
      ...(Object.keys(securityContext).length === 0 ? {} : { securityContext }),
    },
  };
}

/** Of a pod's own settings none is replaced. */
function podSecurity({ pod, config, settings, role }: PlanContext): object {
  const own = pod.spec.securityContext;
  return {
    // So that the proxy may read its token; OpenShift sees to that itself, and allows no other group.
    ...(own?.fsGroup == null && config.platform === "kubernetes" ? { fsGroup: settings.ids.group } : {}),
    // Gateways serve 80 and 443 without being root.
    ...(role === "gateway" && own?.sysctls == null
      ? { sysctls: [{ name: "net.ipv4.ip_unprivileged_port_start", value: "0" }] }
      : {}),
  };
}
