import { PROXY_PORT } from "./pod-contract.ts";
import { hasShell } from "./proxy-image.ts";
import type { DrainSettings } from "./proxy-settings.ts";

/**
 * How the proxy's start holds the app and its end lets no request fall, by what a stock image has: bash, which can
 * open connections itself (`/dev/tcp`). Distroless images have no shell; Kubernetes' own `sleep` is all they get.
 */
export interface ProxyLifecycle {
  readonly postStart?: object;
  readonly preStop?: object;
}

export interface LifecycleInput {
  readonly image: string;
  /** A native sidecar: Kubernetes ends it once the app has ended. All others get their signal together with the app. */
  readonly endsBehindApp: boolean;
  readonly holdsApplication: boolean;
  readonly drain: DrainSettings;
}

export function buildLifecycle({ image, endsBehindApp, holdsApplication, drain }: LifecycleInput): ProxyLifecycle {
  if (!hasShell(image)) {
    const seconds = drain.untilIdleSeconds ?? drain.terminationSeconds;
    return endsBehindApp || seconds === 0 ? {} : { preStop: { sleep: { seconds } } };
  }
  return {
    ...(holdsApplication ? { postStart: run(waitScript(PROXY_PORT.status)) } : {}),
    preStop: run(drainScript({ adminPort: PROXY_PORT.admin, endsBehindApp, drain })),
  };
}

/** Ends once the proxy has its configuration. */
export function waitScript(statusPort: number): string {
  return `${SEND}
ready() { send ${statusPort} GET /healthz/ready | { read -r _ status _ && [ "$status" = 200 ]; }; }
until ready; do sleep 0.2; done`;
}

/**
 * Asks callers to take their connections elsewhere while still serving them, then, unless Kubernetes keeps the proxy
 * for as long as the app runs anyway, holds Envoy's end back. `skip_exit` keeps listeners open for those that come late.
 */
export function drainScript(options: {
  readonly adminPort: number;
  readonly endsBehindApp: boolean;
  readonly drain: DrainSettings;
}): string {
  const { adminPort, endsBehindApp, drain } = options;
  const script = `${SEND}\nsend ${adminPort} POST '/drain_listeners?graceful&skip_exit&inboundonly' >/dev/null`;
  if (endsBehindApp) return script;
  if (drain.untilIdleSeconds === null) return `${script}\nsleep ${drain.terminationSeconds}`;
  // The probes' and the metrics' own listeners, and the administration port that is asked here, are never idle.
  return `${script}
sleep ${drain.untilIdleSeconds}
idle() {
  send ${adminPort} GET '/stats?usedonly&filter=downstream_cx_active' | {
    while read -r name count; do
      case "$name" in
        listener.admin.*|*.worker_*|*[_:]${PROXY_PORT.status}.*|*[_:]${PROXY_PORT.metrics}.*) ;;
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

function run(script: string): object {
  return { exec: { command: ["/bin/bash", "-c", script] } };
}
