import type { InjectionConfig } from "./injection-config.ts";
import type { NamedObject } from "./new-container.ts";
import { POD_PATH } from "./pod-contract.ts";
import type { ProxySettings } from "./proxy-settings.ts";
import { VOLUME } from "./volume-names.ts";

type Extras = Pick<ProxySettings, "bootstrapConfigMap" | "userVolumes" | "userVolumeMounts">;

export function buildVolumes(config: InjectionConfig, extras: Extras): readonly NamedObject[] {
  const token = {
    audience: config.tokenAudience,
    expirationSeconds: config.tokenLifetimeSeconds,
    path: fileOf(POD_PATH.token),
  };
  return [
    { name: VOLUME.envoy, emptyDir: {} },
    { name: VOLUME.token, projected: { sources: [{ serviceAccountToken: token }] } },
    { name: VOLUME.rootCert, configMap: { name: config.rootCertConfigMap } },
    {
      name: VOLUME.podInfo,
      downwardAPI: {
        items: [
          { path: "labels", fieldRef: { fieldPath: "metadata.labels" } },
          { path: "annotations", fieldRef: { fieldPath: "metadata.annotations" } },
        ],
      },
    },
    ...(extras.bootstrapConfigMap === undefined
      ? []
      : [{ name: VOLUME.override, configMap: { name: extras.bootstrapConfigMap } }]),
    ...extras.userVolumes,
  ];
}

/** The init container writes the bootstrap and reads what the pod is. */
export function initVolumeMounts({ bootstrapConfigMap }: Extras): readonly NamedObject[] {
  return [
    { name: VOLUME.envoy, mountPath: folderOf(POD_PATH.bootstrap) },
    { name: VOLUME.podInfo, mountPath: POD_PATH.podInfo, readOnly: true },
    ...(bootstrapConfigMap === undefined
      ? []
      : [{ name: VOLUME.override, mountPath: folderOf(POD_PATH.override), readOnly: true }]),
  ];
}

/** The proxy reads the bootstrap and proves itself to the control plane with the token. */
export function proxyVolumeMounts({ userVolumeMounts }: Extras): readonly NamedObject[] {
  return [
    { name: VOLUME.envoy, mountPath: folderOf(POD_PATH.bootstrap), readOnly: true },
    { name: VOLUME.token, mountPath: folderOf(POD_PATH.token), readOnly: true },
    { name: VOLUME.rootCert, mountPath: folderOf(POD_PATH.rootCert), readOnly: true },
    ...userVolumeMounts,
  ];
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}

function fileOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
