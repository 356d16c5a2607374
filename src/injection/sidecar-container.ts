import { durationSeconds } from "./duration-seconds.ts";
import type { NewContainer } from "./new-container.ts";
import type { PlanContext } from "./plan-context.ts";
import { CONTAINER_NAME, POD_PATH, PROXY_PORT } from "./pod-contract.ts";
import { expanded, variablesIn } from "./pod-variables.ts";
import { buildLifecycle, lifecycleTasks } from "./proxy-lifecycle.ts";
import type { ProxySettings } from "./proxy-settings.ts";
import { restricted } from "./security-context.ts";
import { proxyVolumeMounts } from "./volumes.ts";

/**
 * Envoy. As a native sidecar it is an init container that stays (`restartPolicy: Always`), so that the app starts
 * behind its startup probe and stops before it; else a container beside the app, or a gateway's own.
 * https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
 */
export function buildSidecarContainer(context: PlanContext): NewContainer {
  const { config, settings, role } = context;
  const isNative = role === "sidecar" && settings.isNative;
  return {
    name: CONTAINER_NAME.proxy,
    image: settings.image,
    ...(config.imagePullPolicy === "" ? {} : { imagePullPolicy: config.imagePullPolicy }),
    ...(isNative ? { restartPolicy: "Always" } : {}),
    command: ["envoy"],
    args: envoyArguments(settings),
    ...environmentOf(settings),
    ports: [{ name: "http-envoy-prom", containerPort: PROXY_PORT.metrics, protocol: "TCP" }],
    ...probesOf(settings),
    lifecycle: buildLifecycle(lifecycleTasks(context), settings),
    resources: settings.resources,
    securityContext: securityOf(context),
    volumeMounts: proxyVolumeMounts(settings),
  };
}

function envoyArguments(settings: ProxySettings): readonly string[] {
  const { proxyConfig } = settings;
  const { fileFlushInterval, fileFlushMinSizeKb } = proxyConfig;
  return [
    ...["-c", POD_PATH.bootstrap],
    // Unsaid, Envoy takes a thread for each CPU.
    ...(settings.concurrency === 0 ? [] : ["--concurrency", String(settings.concurrency)]),
    ...["--log-level", settings.logLevel === "warn" ? "warning" : settings.logLevel],
    ...(settings.componentLogLevel === "" ? [] : ["--component-log-level", settings.componentLogLevel]),
    ...["--drain-time-s", String(settings.drain.drainSeconds)],
    // A new policy closes connections that were accepted under the old one with their next response, not by and by.
    ...["--drain-strategy", "immediate"],
    ...(fileFlushInterval === undefined
      ? []
      : ["--file-flush-interval-msec", String(durationSeconds(fileFlushInterval) * 1000)]),
    ...(fileFlushMinSizeKb === undefined ? [] : ["--file-flush-min-size-kb", String(fileFlushMinSizeKb)]),
    // Hot restart needs shared memory and has no use where a new proxy is a new container.
    "--disable-hot-restart",
  ];
}

function environmentOf({ environment }: ProxySettings): { env?: object[] } {
  const env = Object.entries(environment).map(([name, value]) => expanded(name, value));
  const variables = variablesIn(Object.values(environment)).filter(({ name }) => !Object.hasOwn(environment, name));
  return env.length === 0 ? {} : { env: [...variables, ...env] };
}

function probesOf({ readiness }: ProxySettings): { startupProbe?: object; readinessProbe?: object } {
  if (readiness === null) return {};
  const { initialDelaySeconds, ...counting } = readiness;
  const ready = { httpGet: { path: "/healthz/ready", port: PROXY_PORT.status } };
  const delay = initialDelaySeconds === 0 ? {} : { initialDelaySeconds };
  return {
    // Ten minutes for the first configuration to arrive, asked every second so that the app starts without delay.
    startupProbe: { ...ready, periodSeconds: 1, timeoutSeconds: 3, failureThreshold: 600 },
    readinessProbe: { ...ready, ...delay, timeoutSeconds: 3, ...counting },
  };
}

/** To take connections that were meant for another address, TPROXY, Envoy needs more than any user has. */
function securityOf({ settings: { ids, interceptionMode }, role }: PlanContext): object {
  if (role === "gateway" || interceptionMode !== "TPROXY") return restricted(ids);
  return {
    ...restricted(ids),
    capabilities: { add: ["NET_ADMIN"], drop: ["ALL"] },
    runAsNonRoot: false,
    runAsUser: 0,
  };
}
