import type { Service } from "../mesh/kubernetes/core.ts";
import { selects } from "./cluster-objects.ts";
import { shortHash } from "./short-hash.ts";

/** What the endpoints of a Service depend on in a pod. */
export interface EndpointPod {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly ip: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly hostname?: string;
  readonly subdomain?: string;
  readonly ready: boolean;
  readonly terminating: boolean;
  /** Of all containers: name → number, for named target ports. */
  readonly namedPorts: ReadonlyMap<string, number>;
}

/** An EndpointSlice as it is written to a file. */
export interface EndpointSliceManifest {
  readonly apiVersion: "discovery.k8s.io/v1";
  readonly kind: "EndpointSlice";
  readonly metadata: { readonly name: string; readonly namespace: string; readonly labels: Record<string, string> };
  readonly addressType: "IPv4";
  readonly endpoints: readonly SliceEndpoint[];
  readonly ports: readonly SlicePort[];
}

export interface SliceEndpoint {
  readonly addresses: readonly string[];
  readonly conditions: { readonly ready: boolean; readonly serving: boolean; readonly terminating: boolean };
  readonly hostname?: string;
  readonly nodeName: string;
  readonly targetRef?: {
    readonly kind: "Pod";
    readonly namespace: string;
    readonly name: string;
    readonly uid: string;
  };
}

export interface SlicePort {
  readonly name: string;
  readonly port: number;
  readonly protocol: string;
  readonly appProtocol?: string;
}

/**
 * The EndpointSlices of a Service with a selector: one for each set of port numbers its named target ports lead to, one
 * without endpoints where no pod is selected. Services without a selector get none: theirs are the user's to write.
 */
export function buildEndpointSlices(
  service: Service,
  pods: readonly EndpointPod[],
  nodeName: string,
): EndpointSliceManifest[] {
  if (Object.keys(service.spec.selector ?? {}).length === 0 || service.spec.type === "ExternalName") return [];
  const { name, namespace } = service.metadata;
  const selected = pods.filter((pod) => pod.namespace === namespace && selects(service, pod.labels)).sort(byName);
  const groups = new Map<string, { ports: SlicePort[]; pods: EndpointPod[] }>();
  for (const pod of selected) {
    const ports = slicePorts(service, pod);
    const key = JSON.stringify(ports);
    const group = groups.get(key) ?? { ports, pods: [] };
    group.pods.push(pod);
    groups.set(key, group);
  }
  if (groups.size === 0) groups.set("", { ports: [], pods: [] });
  return [...groups]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, group]) => ({
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: {
        name: `${name}-${shortHash(key)}`,
        namespace,
        labels: {
          "kubernetes.io/service-name": name,
          "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        },
      },
      addressType: "IPv4",
      endpoints: group.pods.map((pod) => endpointOf(service, pod, nodeName)),
      ports: group.ports,
    }));
}

function endpointOf(service: Service, pod: EndpointPod, nodeName: string): SliceEndpoint {
  const always = service.spec.publishNotReadyAddresses === true;
  const hostname = pod.subdomain === service.metadata.name ? pod.hostname : undefined;
  return {
    addresses: [pod.ip],
    conditions: { ready: always || (pod.ready && !pod.terminating), serving: pod.ready, terminating: pod.terminating },
    ...(hostname === undefined ? {} : { hostname }),
    nodeName,
    targetRef: { kind: "Pod", namespace: pod.namespace, name: pod.name, uid: pod.uid },
  };
}

/** A port whose target name the pod does not have is left out, as Kubernetes does. */
function slicePorts(service: Service, pod: EndpointPod): SlicePort[] {
  return (service.spec.ports ?? []).flatMap((port) => {
    const target = port.targetPort ?? port.port;
    const number = typeof target === "number" ? target : (pod.namedPorts.get(target) ?? numeric(target));
    if (number === undefined) return [];
    const appProtocol = port.appProtocol === undefined ? {} : { appProtocol: port.appProtocol };
    return [{ name: port.name ?? "", port: number, protocol: port.protocol ?? "TCP", ...appProtocol }];
  });
}

function numeric(text: string): number | undefined {
  return /^\d+$/.test(text) ? Number(text) : undefined;
}

function byName(a: EndpointPod, b: EndpointPod): number {
  return a.name < b.name ? -1 : 1;
}
