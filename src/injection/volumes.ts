import type { InjectionConfig } from "./injection-config.ts";
import type { NamedObject } from "./plan.ts";
import { POD_PATH } from "./pod-contract.ts";

const NAME = {
  envoy: "istio-envoy",
  token: "istio-token",
  rootCert: "istiod-ca-cert",
  podInfo: "istio-podinfo",
} as const;

export const VOLUME_NAMES: readonly string[] = Object.values(NAME);

export function buildVolumes(config: InjectionConfig): readonly NamedObject[] {
  const token = {
    audience: config.tokenAudience,
    expirationSeconds: config.tokenLifetimeSeconds,
    path: fileOf(POD_PATH.token),
  };
  return [
    { name: NAME.envoy, emptyDir: {} },
    { name: NAME.token, projected: { sources: [{ serviceAccountToken: token }] } },
    { name: NAME.rootCert, configMap: { name: config.rootCertConfigMap } },
    {
      name: NAME.podInfo,
      downwardAPI: {
        items: [
          { path: "labels", fieldRef: { fieldPath: "metadata.labels" } },
          { path: "annotations", fieldRef: { fieldPath: "metadata.annotations" } },
        ],
      },
    },
  ];
}

/** The init container writes the bootstrap and reads what the pod is. */
export function initVolumeMounts(): readonly NamedObject[] {
  return [
    { name: NAME.envoy, mountPath: folderOf(POD_PATH.bootstrap) },
    { name: NAME.podInfo, mountPath: POD_PATH.podInfo, readOnly: true },
  ];
}

/** The proxy reads the bootstrap and proves itself to the control plane with the token. */
export function proxyVolumeMounts(): readonly NamedObject[] {
  return [
    { name: NAME.envoy, mountPath: folderOf(POD_PATH.bootstrap), readOnly: true },
    { name: NAME.token, mountPath: folderOf(POD_PATH.token), readOnly: true },
    { name: NAME.rootCert, mountPath: folderOf(POD_PATH.rootCert), readOnly: true },
  ];
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}

function fileOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
