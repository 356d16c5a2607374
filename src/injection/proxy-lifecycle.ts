import type { PlanContext } from "./plan-context.ts";
import { drainPath, type LifecycleTask, type LifecycleTasks, POD_PATH, PROXY_PORT } from "./pod-contract.ts";
import { hasShell } from "./proxy-image.ts";

/** How the proxy's start holds the app, and its end lets no request fall. */
export function lifecycleTasks({ role, settings }: PlanContext): LifecycleTasks {
  const isNative = role === "sidecar" && settings.isNative;
  const { terminationSeconds, untilIdleSeconds } = settings.drain;
  const drain: LifecycleTask = isNative
    ? // Kubernetes runs this beside the app's own end, and ends the proxy behind both: an app may be gone before all
      // callers have heard of it, and whoever still comes must be told so, not cut off, to be able to try elsewhere.
      { kind: "drain", holdSeconds: terminationSeconds, untilIdle: false }
    : // The app gets its signal at the same moment.
      {
        kind: "drain",
        holdSeconds: untilIdleSeconds ?? terminationSeconds,
        untilIdle: untilIdleSeconds !== null,
        ...(role === "gateway" ? { isGateway: true } : {}),
      };
  const waits = role === "sidecar" && !isNative && settings.holdApplication;
  return { ...(waits ? { postStart: { kind: "wait" } } : {}), preStop: drain };
}

interface Hook {
  readonly exec: { readonly command: readonly string[] };
}

interface ProxyLifecycle {
  readonly postStart?: Hook;
  readonly preStop: Hook;
}

/**
 * The hooks that carry the tasks out, by what the image has: bash, which can open connections itself (`/dev/tcp`), or
 * Envoy alone, which as a second, short-lived process does the same (src/init/lifecycle-task.ts).
 */
export function buildLifecycle(
  tasks: LifecycleTasks,
  { image, statusPort }: { readonly image: string; readonly statusPort?: number | undefined },
): ProxyLifecycle {
  const { postStart, preStop } = tasks;
  const ports = { ...PROXY_PORT, mergedMetrics: statusPort ?? PROXY_PORT.mergedMetrics };
  const byShell = (task: LifecycleTask) => ["/bin/bash", "-c", scriptOf(task, ports)];
  const byEnvoy = (file: string) => ["envoy", "-c", file, ...QUIETLY];
  const isShell = hasShell(image);
  const run = (task: LifecycleTask, file: string) => ({
    exec: { command: isShell ? byShell(task) : byEnvoy(file) },
  });
  return {
    ...(postStart === undefined ? {} : { postStart: run(postStart, POD_PATH.postStart) }),
    preStop: run(preStop, POD_PATH.preStop),
  };
}

const QUIETLY = ["--concurrency", "1", "--log-level", "error", "--disable-hot-restart"];

/** `PROXY_PORT`, where the pod did not choose otherwise. */
type ProxyPorts = Readonly<Record<"admin" | "status" | "metrics" | "mergedMetrics", number>>;

export function scriptOf(task: LifecycleTask, ports: ProxyPorts): string {
  return task.kind === "wait" ? waitScript(ports) : drainScript(task, ports);
}

/** Ends once the proxy has its configuration. */
function waitScript({ status }: ProxyPorts): string {
  return `${SEND}
ready() { send ${status} GET /healthz/ready | { read -r _ status _ && [ "$status" = 200 ]; }; }
until ready; do sleep 0.2; done`;
}

/** Asks callers to take their connections elsewhere while still serving them, then holds Envoy's end back. */
function drainScript(task: LifecycleTask & { kind: "drain" }, ports: ProxyPorts): string {
  const parts = [SEND, `send ${ports.admin} POST '${drainPath(task)}' >/dev/null`];
  if (task.holdSeconds > 0 || task.untilIdle) parts.push(`sleep ${task.holdSeconds}`);
  if (task.untilIdle) parts.push(untilIdle(ports));
  return parts.join("\n");
}

/** The probes' and the metrics' own listeners, and the administration port that is asked here, are never idle. */
function untilIdle({ admin, status, metrics, mergedMetrics }: ProxyPorts): string {
  const never = [status, metrics, mergedMetrics].map((port) => `*[_:]${port}.*`);
  return `idle() {
  send ${admin} GET '/stats?usedonly&filter=downstream_cx_active' | {
    while read -r name count; do
      case "$name" in
        listener.admin.*|*.worker_*|${never.join("|")}) ;;
        listener.*.downstream_cx_active:) [ "\${count%?}" = 0 ] || [ "$count" = 0 ] || exit 1 ;;
      esac
    done
  }
}
until idle; do sleep 1; done`;
}

/** PORT METHOD PATH: prints the whole answer of a server on loopback. In a subshell, so that a refusal ends only that. */
const SEND = `send() (
  exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
  printf '%s %s HTTP/1.1\\r\\nHost: localhost\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n' "$2" "$3" >&3
  cat <&3
) 2>/dev/null`;
