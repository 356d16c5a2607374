/**
 * What Istio and Kubernetes have and this version does not read, so that a message can tell "not supported yet" from
 * a typing error. Shrinks as features arrive; a test checks that nothing here is in the schemas.
 */

/** Istio's fields by kind, as paths without list indexes. */
export const unsupportedFields: Readonly<Record<string, ReadonlySet<string>>> = {
  VirtualService: new Set([
    "spec.http.fault.delay.exponentialDelay",
    "spec.http.fault.abort.http2Error",
    "spec.tcp.match.sourceSubnet",
    "spec.tls.match.sourceSubnet",
  ]),
  DestinationRule: new Set(),
  Gateway: new Set([
    "spec.servers.defaultEndpoint",
    "spec.servers.port.targetPort",
    "spec.servers.tls.tlsCertificates",
  ]),
  AuthorizationPolicy: new Set([
    ...["spec.targetRef", "spec.targetRefs", "spec.provider"],
    ...["spec.rules.from.source.trustDomains", "spec.rules.from.source.notTrustDomains"],
  ]),
  PeerAuthentication: new Set(),
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
  "extensions.istio.io": new Set(["WasmPlugin"]),
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
