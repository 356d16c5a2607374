import type { InterceptionMode, ProxyConfig } from "../mesh/istio/mesh-proxy-config.ts";
import type { LabelSelector } from "../mesh/label-selector.ts";
import { TRUST_BUNDLE_MAP } from "../platform/trust-bundle.ts";
import { type InterceptionSettings, interceptEverything } from "./pod-contract.ts";
import type { PodTemplate } from "./pod-template.ts";

/** What the mesh's operator decides about every injected pod. */
export interface InjectionConfig {
  /** The revision this control plane serves, and the tags that point at it; `default` is the one unnamed asks reach. */
  readonly revision: string;
  readonly revisionTags: readonly string[];
  /** For selected pods that say nothing themselves. */
  readonly policy: "enabled" | "disabled";
  /** Whether a namespace that says nothing is selected. */
  readonly enableNamespacesByDefault: boolean;
  /** Pods that say nothing themselves and match one of these are never injected … */
  readonly neverInjectSelector: readonly LabelSelector[];
  /** … and those that match one of these are, even where the policy is `disabled`. */
  readonly alwaysInjectSelector: readonly LabelSelector[];
  /** Never injected, whatever their labels say. */
  readonly ignoredNamespaces: readonly string[];
  /** Applied to pods that name no templates. */
  readonly defaultTemplates: readonly string[];
  /** The operator's own, besides `sidecar` and `gateway`. */
  readonly templates: Readonly<Record<string, PodTemplate>>;
  /** Names that stand for several templates. */
  readonly aliases: Readonly<Record<string, readonly string[]>>;
  /** On every injected pod that does not set them itself. */
  readonly injectedLabels: Readonly<Record<string, string>>;
  readonly injectedAnnotations: Readonly<Record<string, string>>;
  readonly imagePullSecrets: readonly string[];
  /** Empty: Kubernetes decides by the image's tag. */
  readonly imagePullPolicy: "" | "Always" | "IfNotPresent" | "Never";
  readonly proxyImage: string;
  readonly initImage: string;
  /** OpenShift gives each namespace a range of users of its own. */
  readonly platform: "kubernetes" | "openshift";
  /** Whether sidecars are native ones: Kubernetes 1.29 and later. */
  readonly nativeSidecars: boolean;
  /** Who redirects traffic: the init container, or a plug-in on the node, so that pods need no capabilities. */
  readonly interceptionBy: "init" | "node";
  readonly interceptionMode: InterceptionMode;
  /** `HOST:PORT` of the control plane's TLS gRPC port; the host is a name in its serving certificate. */
  readonly discoveryAddress: string;
  readonly clusterId: string;
  readonly meshId: string;
  readonly network: string;
  readonly tokenAudience: string;
  readonly tokenLifetimeSeconds: number;
  /** The ConfigMap in each namespace whose key `root-cert.pem` holds the mesh's trust bundle. */
  readonly rootCertConfigMap: string;
  /** The mesh's `defaultConfig`, under what pods and ProxyConfig resources say. */
  readonly proxyConfig: ProxyConfig;
  readonly proxyLogLevel: string;
  readonly proxyComponentLogLevel: string;
  readonly resources: ResourceRequirements;
  readonly interception: InterceptionSettings;
  readonly rewriteAppProbes: boolean;
  readonly mergeMetrics: boolean;
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
  neverInjectSelector: [],
  alwaysInjectSelector: [],
  ignoredNamespaces: ["kube-system", "kube-public", "kube-node-lease", "local-path-storage", "trysail-system"],
  defaultTemplates: ["sidecar"],
  templates: {},
  aliases: {},
  injectedLabels: {},
  injectedAnnotations: {},
  imagePullSecrets: [],
  imagePullPolicy: "",
  proxyImage: "envoyproxy/envoy:v1.40.0",
  initImage: "trysail/trysail",
  platform: "kubernetes",
  nativeSidecars: true,
  interceptionBy: "init",
  interceptionMode: "REDIRECT",
  discoveryAddress: "trysail.trysail-system.svc:15012",
  clusterId: "Kubernetes",
  meshId: "cluster.local",
  network: "",
  tokenAudience: "istio-ca",
  tokenLifetimeSeconds: 43_200,
  rootCertConfigMap: TRUST_BUNDLE_MAP,
  proxyConfig: {},
  proxyLogLevel: "warning",
  proxyComponentLogLevel: "misc:error",
  resources: { requests: { cpu: "100m", memory: "128Mi" }, limits: { cpu: "2000m", memory: "1024Mi" } },
  interception: interceptEverything,
  rewriteAppProbes: true,
  mergeMetrics: true,
};
