import type { InjectionConfig } from "./injection-config.ts";
import type { NewContainer } from "./plan.ts";
import { CONTAINER_NAME, POD_PATH, PROXY_ID, PROXY_PORT } from "./pod-contract.ts";
import { proxyVolumeMounts } from "./volumes.ts";

/**
 * Envoy as a native sidecar: an init container that stays (`restartPolicy: Always`), so that the app starts behind
 * its startup probe and stops before it.
 * https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
 */
export function buildSidecarContainer(config: InjectionConfig): NewContainer {
  const ready = { httpGet: { path: "/healthz/ready", port: PROXY_PORT.status } };
  return {
    name: CONTAINER_NAME.proxy,
    image: config.proxyImage,
    restartPolicy: "Always",
    command: ["envoy"],
    args: [
      ...["-c", POD_PATH.bootstrap],
      ...["--concurrency", String(config.concurrency)],
      ...["--log-level", config.proxyLogLevel],
      ...["--drain-time-s", "45"],
      // Hot restart needs shared memory and has no use where a new proxy is a new container.
      "--disable-hot-restart",
    ],
    ports: [{ name: "http-envoy-prom", containerPort: PROXY_PORT.metrics, protocol: "TCP" }],
    // Ten minutes for the first configuration to arrive, asked every second so that the app starts without delay.
    startupProbe: { ...ready, periodSeconds: 1, timeoutSeconds: 3, failureThreshold: 600 },
    readinessProbe: { ...ready, periodSeconds: 15, timeoutSeconds: 3, failureThreshold: 4 },
    resources: config.resources,
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ["ALL"] },
      privileged: false,
      readOnlyRootFilesystem: true,
      runAsGroup: PROXY_ID,
      runAsNonRoot: true,
      runAsUser: PROXY_ID,
    },
    volumeMounts: proxyVolumeMounts(),
  };
}
