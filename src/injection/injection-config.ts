import { type InterceptionSettings, interceptEverything } from "./pod-contract.ts";

/** What the mesh's operator decides about every injected pod. */
export interface InjectionConfig {
  /** The revision this control plane serves, and the tags that point at it; `default` is the one unnamed asks reach. */
  readonly revision: string;
  readonly revisionTags: readonly string[];
  /** For selected pods that say nothing themselves. */
  readonly policy: "enabled" | "disabled";
  /** Whether a namespace that says nothing is selected. */
  readonly enableNamespacesByDefault: boolean;
  /** Never injected, whatever their labels say. */
  readonly ignoredNamespaces: readonly string[];
  readonly proxyImage: string;
  readonly initImage: string;
  /** `HOST:PORT` of the control plane's TLS gRPC port; the host is a name in its serving certificate. */
  readonly discoveryAddress: string;
  readonly clusterId: string;
  readonly meshId: string;
  readonly network: string;
  readonly tokenAudience: string;
  readonly tokenLifetimeSeconds: number;
  /** The ConfigMap in each namespace whose key `root-cert.pem` holds the mesh's trust bundle. */
  readonly rootCertConfigMap: string;
  /** Envoy's worker threads. */
  readonly concurrency: number;
  readonly proxyLogLevel: string;
  readonly resources: ResourceRequirements;
  readonly interception: InterceptionSettings;
}

export interface ResourceRequirements {
  readonly requests?: Readonly<Record<string, string>>;
  readonly limits?: Readonly<Record<string, string>>;
}

export const defaultInjectionConfig: InjectionConfig = {
  revision: "default",
  revisionTags: [],
  policy: "enabled",
  enableNamespacesByDefault: false,
  ignoredNamespaces: ["kube-system", "kube-public", "kube-node-lease", "local-path-storage", "trysail-system"],
  proxyImage: "envoyproxy/envoy:v1.40.0",
  initImage: "trysail/trysail",
  discoveryAddress: "trysail.trysail-system.svc:15012",
  clusterId: "Kubernetes",
  meshId: "cluster.local",
  network: "",
  tokenAudience: "istio-ca",
  tokenLifetimeSeconds: 43_200,
  rootCertConfigMap: "trysail-ca-root-cert",
  concurrency: 2,
  proxyLogLevel: "warning",
  resources: { requests: { cpu: "100m", memory: "128Mi" }, limits: { cpu: "2000m", memory: "1024Mi" } },
  interception: interceptEverything,
};
