import { availableParallelism, totalmem } from "node:os";
import { TrysailError } from "../platform/errors.ts";
import type { Container } from "./pod.ts";
import { type RunningPod, serviceAccountOf } from "./running-pod.ts";

/** The value of a downward API `fieldPath`. Throws `invalid-argument` for a path Kubernetes does not offer. */
export function fieldValue(pod: RunningPod, fieldPath: string): string {
  const { metadata } = pod.manifest;
  const subscript = /^metadata\.(labels|annotations)\['(.*)'\]$/.exec(fieldPath);
  if (subscript !== null) {
    const from = subscript[1] === "labels" ? metadata.labels : metadata.annotations;
    return from?.[subscript[2] ?? ""] ?? "";
  }
  switch (fieldPath) {
    case "metadata.name":
      return pod.name;
    case "metadata.namespace":
      return pod.namespace;
    case "metadata.uid":
      return pod.uid;
    case "metadata.labels":
      return mapFile(metadata.labels ?? {});
    case "metadata.annotations":
      return mapFile(metadata.annotations ?? {});
    case "spec.nodeName":
      return pod.node.name;
    case "spec.serviceAccountName":
      return serviceAccountOf(pod);
    case "status.hostIP":
    case "status.hostIPs":
      return pod.node.ip;
    case "status.podIP":
    case "status.podIPs":
      return pod.ip;
    default:
      throw new TrysailError("invalid-argument", `unknown downward API field ${fieldPath}`);
  }
}

/** A container's limit or request in units of `divisor`, rounded up; this machine's own size where none is set. */
export function resourceValue(
  pod: RunningPod,
  ref: { resource: string; containerName?: string; divisor?: string | number },
  ownContainer: string,
): string {
  const [kind, resource] = ref.resource.split(".", 2);
  const name = ref.containerName ?? ownContainer;
  const container = allContainers(pod).find((candidate) => candidate.name === name);
  const resources = container?.resources;
  const quantity =
    kind === "limits"
      ? resources?.limits?.[resource ?? ""]
      : (resources?.requests?.[resource ?? ""] ?? resources?.limits?.[resource ?? ""]);
  const fallback =
    kind !== "limits" ? 0 : resource === "cpu" ? availableParallelism() : resource === "memory" ? totalmem() : 0;
  const value = quantity === undefined ? fallback : parseQuantity(quantity);
  const divisor = ref.divisor === undefined ? 1 : parseQuantity(ref.divisor);
  return String(Math.ceil(value / (divisor === 0 ? 1 : divisor)));
}

const SUFFIXES: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** A Kubernetes quantity (`100m`, `64Mi`, `2`) as a plain number. */
export function parseQuantity(quantity: string | number): number {
  const match = /^([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([a-zA-Z]*)$/.exec(String(quantity));
  const factor = match === null ? undefined : SUFFIXES[match[2] ?? ""];
  const value = match === null || factor === undefined ? Number.NaN : Number(match[1]) * factor;
  if (Number.isNaN(value)) throw new TrysailError("invalid-argument", `${quantity} is not a quantity`);
  return value;
}

/** Every container of a pod, init containers first. */
export function allContainers(pod: { manifest: RunningPod["manifest"] }): readonly Container[] {
  return [...(pod.manifest.spec.initContainers ?? []), ...pod.manifest.spec.containers];
}

/** The downward API's file form: sorted `key="value"` lines with Go-quoted values. */
function mapFile(map: Readonly<Record<string, string>>): string {
  return Object.keys(map)
    .sort()
    .map((key) => `${key}=${JSON.stringify(map[key])}`)
    .join("\n");
}
