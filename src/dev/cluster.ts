import { randomUUID } from "node:crypto";
import type { Finding } from "../mesh/finding.ts";
import type { EndpointSlice, Service } from "../mesh/kubernetes/core.ts";
import type { ObjectSet } from "../mesh/object-set.ts";
import { allocateClusterIps } from "./cluster-ips.ts";
import { allContainers } from "./downward-api.ts";
import { buildEndpointSlices, type EndpointPod } from "./endpoint-slices.ts";
import type { ManifestObject } from "./object-folder.ts";
import type { PodManifest } from "./pod.ts";
import type { PodRunner } from "./pod-runner.ts";
import { buildPodObject, type PodStatus } from "./pod-status.ts";
import { type ExistingPod, isSettled, planRollout } from "./rollout.ts";
import { buildServiceViews, type ServiceView } from "./service-view.ts";
import { controlPlaneService, controlPlaneSlice, rootCertificateMap } from "./system-objects.ts";
import { buildPodSet, type PodSet } from "./workloads.ts";

export interface ClusterDeps {
  readonly node: { readonly name: string; readonly ip: string };
  startPod(manifest: PodManifest, onChange: () => void): PodRunner;
  /** Undefined until the control plane has made it. */
  rootCertificate(): Buffer | undefined;
  /** Behind every step: the objects a cluster would hold, and the Services as they now are. */
  publish(objects: readonly ManifestObject[], views: readonly ServiceView[]): void;
}

export interface Cluster {
  /** What the user's folder holds now. */
  apply(set: ObjectSet): void;
  /** Sorted by namespace and name. */
  pods(): readonly PodStatus[];
  findings(): readonly Finding[];
  services(): readonly ServiceView[];
  /** Every controller has what it wants, and it is ready. */
  settled(): boolean;
  /** Takes note of what is not in the folder and changed (the root certificate). */
  touch(): void;
  onChange(listener: () => void): void;
  /** Ends every pod, in order. */
  stop(): Promise<void>;
}

interface Entry {
  readonly id: string;
  readonly set: PodSet;
  readonly ordinal: number | undefined;
  readonly runner: PodRunner;
  terminating: boolean;
}

/** The controllers of a cluster in one loop: workloads → pods → endpoints → names and forwarding. */
export function createCluster(deps: ClusterDeps): Cluster {
  const entries = new Map<string, Entry>();
  const listeners: (() => void)[] = [];
  let sets = new Map<string, PodSet>();
  let findings: Finding[] = [];
  let services: readonly Service[] = [controlPlaneService];
  let userSlices: readonly EndpointSlice[] = [];
  let views: readonly ServiceView[] = [];
  let scheduled = false;
  let stopping = false;

  /** Many pods change at once; one step follows them all. */
  function schedule(): void {
    if (scheduled) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      step();
    });
  }

  function step(): void {
    if (!stopping) {
      for (const set of sets.values()) follow(set);
      for (const entry of entries.values()) if (!sets.has(entry.set.key)) remove(entry);
    }
    publish();
    for (const listener of listeners) listener();
  }

  function follow(set: PodSet): void {
    const plan = planRollout(set, existing(set.key));
    for (const id of plan.remove) {
      const entry = entries.get(id);
      if (entry !== undefined) remove(entry);
    }
    for (const ordinal of plan.create) {
      const runner = deps.startPod(set.buildPod(ordinal), schedule);
      const id = randomUUID();
      entries.set(id, { id, set, ordinal, runner, terminating: false });
    }
  }

  function remove(entry: Entry): void {
    if (entry.terminating) return;
    entry.terminating = true;
    void entry.runner.terminate().finally(() => {
      entries.delete(entry.id);
      schedule();
    });
  }

  function existing(key: string): ExistingPod[] {
    return [...entries.values()]
      .filter((entry) => entry.set.key === key)
      .map(({ id, set, ordinal, runner, terminating }) => {
        const { ready, phase, createdAt } = runner.status();
        return {
          id,
          revision: set.revision,
          ready,
          terminating,
          phase,
          createdAt,
          ...(ordinal === undefined ? {} : { ordinal }),
        };
      });
  }

  function publish(): void {
    const statuses = pods();
    const endpointPods = statuses.flatMap(endpointPod);
    const slices = services.flatMap((service) => buildEndpointSlices(service, endpointPods, deps.node.name));
    const own = controlPlaneSlice(deps.node.ip, deps.node.name);
    const clusterIps = allocateClusterIps(services);
    views = buildServiceViews(services, [...userSlices, ...slices, own], clusterIps);
    const root = deps.rootCertificate()?.toString("utf8");
    const namespaces = [...new Set(statuses.map(({ namespace }) => namespace))].sort();
    deps.publish(
      [
        ...services.map((service) => withAddress(service, clusterIps)),
        ...slices,
        own,
        ...statuses.flatMap((status) => buildPodObject(status) ?? []),
        ...(root === undefined ? [] : namespaces.map((namespace) => rootCertificateMap(namespace, root))),
      ],
      views,
    );
  }

  function pods(): PodStatus[] {
    const order = (status: PodStatus) => `${status.namespace}/${status.name}`;
    return [...entries.values()].map(({ runner }) => runner.status()).sort((a, b) => (order(a) < order(b) ? -1 : 1));
  }

  return {
    apply(set) {
      const next = new Map<string, PodSet>();
      findings = [...set.findings];
      for (const object of set.objects) {
        const built = buildPodSet(object);
        if (built === undefined) continue;
        if ("buildPod" in built) next.set(built.key, built);
        else findings.push(built);
      }
      // A controller whose new version is wrong keeps what it had.
      for (const [key, old] of sets) {
        if (!next.has(key) && findings.some(({ object }) => object !== undefined && describes(key, object)))
          next.set(key, old);
      }
      sets = next;
      services = [...set.objects.filter((object) => object.kind === "Service"), controlPlaneService];
      userSlices = set.objects.filter((object) => object.kind === "EndpointSlice");
      for (const { runner } of entries.values()) void runner.refreshVolumes().catch(() => undefined);
      schedule();
    },
    pods,
    findings: () => findings,
    services: () => views,
    settled: () =>
      [...sets.values()].every((set) => isSettled(set, existing(set.key))) &&
      [...entries.values()].every(({ set }) => sets.has(set.key)),
    touch: schedule,
    onChange: (listener) => void listeners.push(listener),
    async stop() {
      stopping = true;
      await Promise.all([...entries.values()].map(({ runner }) => runner.terminate()));
      entries.clear();
    },
  };
}

function describes(key: string, { kind, namespace, name }: { kind: string; namespace: string; name: string }): boolean {
  return key === `${kind} ${namespace}/${name}`;
}

function endpointPod(status: PodStatus): EndpointPod[] {
  const { pod } = status;
  if (pod === undefined || status.phase === "Succeeded" || status.phase === "Failed") return [];
  const { spec, metadata } = pod.manifest;
  const ports = allContainers(pod).flatMap(({ ports = [] }) => ports);
  const namedPorts = new Map(
    ports.flatMap(({ name, containerPort }) => (name === undefined ? [] : [[name, containerPort] as const])),
  );
  return [
    {
      name: pod.name,
      namespace: pod.namespace,
      uid: pod.uid,
      ip: pod.ip,
      labels: metadata.labels ?? {},
      ready: status.ready,
      terminating: status.terminating,
      namedPorts,
      ...(spec.hostname === undefined ? {} : { hostname: spec.hostname }),
      ...(spec.subdomain === undefined ? {} : { subdomain: spec.subdomain }),
    },
  ];
}

/** The Service as the API server stores it: with its address. Where it was read from is not part of it. */
function withAddress(service: Service, clusterIps: ReadonlyMap<string, string>): ManifestObject {
  const { origin: _, ...object } = service;
  const ip = clusterIps.get(`${service.metadata.namespace}/${service.metadata.name}`);
  const address = ip === undefined ? {} : { clusterIP: ip, clusterIPs: [ip] };
  return Object.assign(object, { spec: { ...service.spec, ...address } });
}
