import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Kubernetes' control plane as programs of this machine. */
export interface KubernetesPrograms {
  readonly etcd: string;
  readonly apiServer: string;
  /** Not part of what KUBEBUILDER_ASSETS usually names: without it, nothing makes pods of a Deployment. */
  readonly controllerManager: string | null;
}

const BUILT = fileURLToPath(new URL("../../.cache/kubernetes/bin", import.meta.url));

/** The programs, or why there are none: what `skip` of node:test takes. */
export function findKubernetes(): { programs: KubernetesPrograms } | { missing: string } {
  const folder = process.env.KUBEBUILDER_ASSETS || BUILT;
  const [etcd, apiServer, controllerManager] = ["etcd", "kube-apiserver", "kube-controller-manager"].map((name) =>
    join(folder, name),
  );
  if (isProgram(etcd) && isProgram(apiServer)) {
    return {
      programs: { etcd, apiServer, controllerManager: isProgram(controllerManager) ? controllerManager : null },
    };
  }
  const missing = process.env.KUBEBUILDER_ASSETS
    ? `no etcd and kube-apiserver in KUBEBUILDER_ASSETS=${folder}`
    : "no Kubernetes to test with: test/cluster/build.sh builds it where there is Go, or set KUBEBUILDER_ASSETS";
  return { missing };
}

function isProgram(path: string | undefined): path is string {
  try {
    accessSync(path ?? "", constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
