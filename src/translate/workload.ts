import type { Container } from "../mesh/kubernetes/core.ts";
import { compareText } from "../mesh/object.ts";

/** What a proxy's configuration depends on of the workload beside it: replicas share it. */
export interface Workload {
  /** Equal for workloads that are equal in everything else. */
  readonly id: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Of its containers, for Services whose targetPort is a name. */
  readonly namedPorts: Readonly<Record<string, number>>;
}

export function buildWorkload(
  namespace: string,
  labels: Readonly<Record<string, string>>,
  containers: readonly Pick<Container, "ports">[],
): Workload {
  const ports = containers
    .flatMap(({ ports = [] }) => ports)
    .flatMap(({ name, containerPort }): [string, number][] => (name === undefined ? [] : [[name, containerPort]]));
  const inOrder = <V>(entries: [string, V][]) => entries.sort(([a], [b]) => compareText(a, b));
  const orderedLabels = inOrder(Object.entries(labels));
  const orderedPorts = inOrder(ports);
  return {
    id: JSON.stringify([namespace, orderedLabels, orderedPorts]),
    namespace,
    labels: Object.fromEntries(orderedLabels),
    namedPorts: Object.fromEntries(orderedPorts),
  };
}
