import { printable } from "../platform/printable.ts";
import type { PodStatus } from "./pod-status.ts";

/** One row a pod, as `kubectl get pods` prints them; the sentence behind a trouble follows below its pod. */
export function renderTable(pods: readonly PodStatus[], now: number, columns: number): string[] {
  const header = ["NAMESPACE", "POD", "READY", "STATUS", "RESTARTS", "AGE", "IP"];
  const rows = pods.map((pod) =>
    [
      pod.namespace,
      pod.name,
      readiness(pod),
      pod.reason,
      String(restartsOf(pod)),
      age(now - pod.createdAt),
      pod.pod?.ip ?? "",
    ].map(printable),
  );
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd();
  const body = pods.flatMap((pod, index) => {
    const message = pod.message === "" ? [] : [`    ${printable(pod.message)}`];
    return [line(rows[index] ?? []), ...message];
  });
  return [line(header), ...body].map((text) => text.slice(0, columns));
}

/** What changed from one moment to the next, one line a pod, for output that is no terminal. */
export function describeChanges(
  before: ReadonlyMap<string, string>,
  pods: readonly PodStatus[],
): { lines: string[]; now: Map<string, string> } {
  const now = new Map(pods.map((pod) => [`${pod.namespace}/${pod.name}`, stateOf(pod)]));
  const lines = [...now]
    .filter(([name, state]) => before.get(name) !== state)
    .map(([name, state]) => printable(`${name} ${state}`));
  for (const name of before.keys()) if (!now.has(name) && !name.endsWith("?")) lines.push(printable(`${name} gone`));
  return { lines, now };
}

function stateOf(pod: PodStatus): string {
  return `${readiness(pod)} ${pod.reason}${pod.message === "" ? "" : `: ${pod.message}`}`;
}

/** Ready containers of all that stay, sidecars included. */
function readiness(pod: PodStatus): string {
  const staying = [...pod.containers, ...pod.initContainers.filter(({ name }) => isSidecarOf(pod, name))];
  return `${staying.filter(({ ready }) => ready).length}/${staying.length}`;
}

function isSidecarOf(pod: PodStatus, name: string): boolean {
  const spec = pod.pod?.manifest.spec.initContainers ?? pod.admission?.pod.spec.initContainers ?? [];
  return spec.find((container) => container.name === name)?.restartPolicy === "Always";
}

function restartsOf(pod: PodStatus): number {
  return [...pod.initContainers, ...pod.containers].reduce((sum, { restarts }) => sum + restarts, 0);
}

function age(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`;
  return `${Math.floor(seconds / 3600)}h`;
}
