/**
 * What Istio and Kubernetes have and this version does not read, so that a message can tell "not supported yet" from
 * a typing error. Shrinks as features arrive; a test checks that nothing here is in the schemas.
 */

/** Istio's fields by kind, and of its MeshConfig, as paths without list indexes. */
export const unsupportedFields: Readonly<Record<string, ReadonlySet<string>>> = {
  VirtualService: new Set([
    "spec.http.fault.delay.exponentialDelay",
    "spec.http.fault.abort.http2Error",
    "spec.http.mirror_percent",
    "spec.tcp.match.sourceSubnet",
  ]),
  DestinationRule: new Set([
    ...["spec.trafficPolicy", "spec.subsets.trafficPolicy"].flatMap((policy) => [
      `${policy}.loadBalancer.zoneAwareLbSetting`,
      `${policy}.outlierDetection.outlierDetectionHttpErrorCodes`,
      `${policy}.portLevelSettings.loadBalancer.zoneAwareLbSetting`,
      `${policy}.portLevelSettings.outlierDetection.outlierDetectionHttpErrorCodes`,
      `${policy}.retryBudget.budgetInterval`,
    ]),
  ]),
  Gateway: new Set([
    "spec.servers.defaultEndpoint",
    "spec.servers.port.targetPort",
    "spec.servers.tls.insecureSkipVerify",
    "spec.servers.tls.tlsCertificates",
  ]),
  Sidecar: new Set(["spec.egress.port.targetPort", "spec.ingress.port.targetPort", "spec.ingress.tls"]),
  AuthorizationPolicy: new Set([
    ...["spec.targetRef", "spec.targetRefs", "spec.provider"],
    ...["spec.rules.from.source.trustDomains", "spec.rules.from.source.notTrustDomains"],
  ]),
  PeerAuthentication: new Set(),
  MeshConfig: new Set([
    ...["accessLogEncoding", "accessLogFile", "accessLogFormat", "ca", "certificates", "configSources"],
    ...["defaultProviders", "defaultTrafficPolicy", "disableEnvoyListenerLog", "enableEnvoyAccessLogService"],
    ...["enableTracing", "extensionProviders", "hboneIdleTimeout", "inboundClusterStatName", "ingressClass"],
    ...["ingressControllerMode", "ingressSelector", "ingressService", "meshMTLS", "outboundClusterStatName"],
    ...["proxyHttpPort", "proxyInboundListenPort", "proxyListenPort", "serviceEntryVisibility", "serviceScopeConfigs"],
    ...["tlsDefaults", "verifyCertificateAtClient", "zoneAwareLbSetting"],
  ]),
};

/** Istio's values of fields whose other values are supported. */
export const unsupportedValues: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  AuthorizationPolicy: { "spec.action": ["AUDIT", "CUSTOM"] },
};

/** Istio's and the Gateway API's kinds whose absence changes what the mesh does. */
const meshKinds: Readonly<Record<string, ReadonlySet<string>>> = {
  "networking.istio.io": new Set(["EnvoyFilter"]),
  "security.istio.io": new Set(["RequestAuthentication"]),
  "telemetry.istio.io": new Set(["Telemetry"]),
  "extensions.istio.io": new Set(["TrafficExtension", "WasmPlugin"]),
  "gateway.networking.k8s.io": new Set([
    "GatewayClass",
    "Gateway",
    "HTTPRoute",
    "GRPCRoute",
    "TCPRoute",
    "TLSRoute",
    "UDPRoute",
    "ReferenceGrant",
    "BackendTLSPolicy",
  ]),
};

export function isUnsupportedMeshKind(group: string, kind: string): boolean {
  return Object.hasOwn(meshKinds, group) && meshKinds[group]?.has(kind) === true;
}

/** Kubernetes' own groups: kinds in them that are not read have nothing to say to a mesh. */
export function isKubernetesGroup(group: string): boolean {
  return group === "" || !group.includes(".") || group.endsWith(".k8s.io");
}
