/** Kubernetes objects as JSON documents, to be joined with others in YAML: a test states only what matters to it. */

export interface ServiceManifest {
  readonly name: string;
  readonly namespace?: string;
  /** Port name to number, or to number and target. */
  readonly ports: Readonly<Record<string, number | { readonly port: number; readonly targetPort: number | string }>>;
  readonly selector?: Readonly<Record<string, string>>;
  readonly clusterIP?: string;
  /** Further fields of its spec. */
  readonly spec?: object;
}

export function service({ name, namespace = "shop", ports, selector, clusterIP, spec }: ServiceManifest): string {
  return document({
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace },
    spec: {
      ...spec,
      selector: selector ?? { app: name },
      clusterIP: clusterIP ?? "None",
      ports: Object.entries(ports).map(([name, port]) => ({ name, ...(typeof port === "number" ? { port } : port) })),
    },
  });
}

export interface PodManifest {
  readonly name: string;
  readonly namespace?: string;
  readonly ip: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly serviceAccount?: string;
  /** Whether a sidecar takes mutual TLS in front of it. */
  readonly tls?: boolean;
  readonly nodeName?: string;
}

export function pod(manifest: PodManifest): string {
  const { name, namespace = "shop", ip, labels = {}, serviceAccount, tls = false, nodeName } = manifest;
  return document({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace, labels: { ...labels, ...(tls ? { "security.istio.io/tlsMode": "istio" } : {}) } },
    spec: {
      serviceAccountName: serviceAccount ?? "default",
      containers: [{ name: "app" }],
      ...(nodeName === undefined ? {} : { nodeName }),
    },
    status: { podIP: ip, phase: "Running" },
  });
}

/** That a pod answers for a service at these ports, by the names that they have in the service. */
export function endpoint(
  service: string,
  { name, namespace = "shop", ip, hostname }: Pick<PodManifest, "name" | "namespace" | "ip"> & { hostname?: string },
  ports: Readonly<Record<string, number>>,
): string {
  return document({
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: `${service}-${name}`, namespace, labels: { "kubernetes.io/service-name": service } },
    addressType: "IPv4",
    ports: Object.entries(ports).map(([name, port]) => ({ name, port })),
    endpoints: [
      { addresses: [ip], ...(hostname === undefined ? {} : { hostname }), targetRef: { kind: "Pod", namespace, name } },
    ],
  });
}

const SECURITY_KINDS: ReadonlySet<string> = new Set(["AuthorizationPolicy", "PeerAuthentication"]);

/** An object of Istio's in namespace `shop`, or another. */
export function istio(
  kind:
    | "AuthorizationPolicy"
    | "DestinationRule"
    | "Gateway"
    | "PeerAuthentication"
    | "ServiceEntry"
    | "Sidecar"
    | "VirtualService"
    | "WorkloadEntry",
  name: string,
  spec: object,
  namespace = "shop",
): string {
  const group = SECURITY_KINDS.has(kind) ? "security" : "networking";
  return document({ apiVersion: `${group}.istio.io/v1`, kind, metadata: { name, namespace }, spec });
}

export function meshConfig(mesh: string): string {
  return document({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "istio", namespace: "trysail-system" },
    data: { mesh },
  });
}

/** A Secret of these texts; of type `kubernetes.io/tls` where there is a `tls.crt` among them. */
export function secret(name: string, texts: Readonly<Record<string, string>>, namespace = "shop"): string {
  const data = Object.entries(texts).map(([key, text]) => [key, Buffer.from(text).toString("base64")]);
  return document({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name, namespace },
    type: "tls.crt" in texts ? "kubernetes.io/tls" : "Opaque",
    data: Object.fromEntries(data),
  });
}

/** Any object as a document of its own. */
export function document(object: object): string {
  return `---\n${JSON.stringify(object)}\n`;
}
