import type { Service } from "../mesh/kubernetes/core.ts";
import { TRUST_BUNDLE_KEY, TRUST_BUNDLE_MAP } from "../platform/trust-bundle.ts";
import type { EndpointSliceManifest } from "./endpoint-slices.ts";
import type { ManifestObject } from "./object-folder.ts";

export const SYSTEM_NAMESPACE = "trysail-system";
const CONTROL_PLANE = "trysail";

/** The control plane's Service: headless, and its one endpoint is this node, where the control plane runs. */
export const controlPlaneService: Service = {
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: CONTROL_PLANE, namespace: SYSTEM_NAMESPACE, labels: { app: "trysail" }, annotations: {} },
  spec: {
    clusterIP: "None",
    ports: [
      { name: "grpc-xds", port: 15012, protocol: "TCP" },
      { name: "https-webhook", port: 15017, protocol: "TCP" },
      { name: "http-monitoring", port: 15014, protocol: "TCP" },
    ],
  },
};

export function controlPlaneSlice(nodeIp: string, nodeName: string): EndpointSliceManifest {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      name: `${CONTROL_PLANE}-node`,
      namespace: SYSTEM_NAMESPACE,
      labels: { "kubernetes.io/service-name": CONTROL_PLANE },
    },
    addressType: "IPv4",
    endpoints: [
      {
        addresses: [nodeIp],
        conditions: { ready: true, serving: true, terminating: false },
        nodeName,
      },
    ],
    ports: (controlPlaneService.spec.ports ?? []).map(({ name = "", port }) => ({ name, port, protocol: "TCP" })),
  };
}

/** What a namespace controller keeps in every namespace, so that pods can mount the mesh's root certificate. */
export function rootCertificateMap(namespace: string, rootCertificate: string): ManifestObject {
  const metadata = { name: TRUST_BUNDLE_MAP, namespace };
  const object = { apiVersion: "v1", kind: "ConfigMap", metadata, data: { [TRUST_BUNDLE_KEY]: rootCertificate } };
  return object;
}

/** Written behind all else: whoever has read this has read that. */
export const writtenMark: ManifestObject = Object.freeze({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "trysail-dev-written", namespace: SYSTEM_NAMESPACE },
});

export function isRootCertificateMap(name: string): boolean {
  return name === TRUST_BUNDLE_MAP;
}
