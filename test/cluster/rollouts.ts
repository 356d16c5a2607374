import { until } from "../support/until.ts";
import { type MeshCluster, SYSTEM_NAMESPACE } from "./mesh-cluster.ts";

const DEPLOYMENTS = "/apis/apps/v1/namespaces";
const MERGE = "application/merge-patch+json";
/** The kubelet and the scheduler take up to a minute to come back behind an outage of the API server. */
const PATIENT = { timeoutMs: 180_000, everyMs: 200 };

/** As `kubectl rollout restart`, and waits as `kubectl rollout status` does. */
export async function restart(cluster: MeshCluster, namespace: string, name: string): Promise<void> {
  const annotations = { "kubectl.kubernetes.io/restartedAt": new Date().toISOString() };
  const body = { spec: { template: { metadata: { annotations } } } };
  await cluster.call("PATCH", `${DEPLOYMENTS}/${namespace}/deployments/${name}`, body, MERGE);
  await rolledOut(cluster, namespace, name);
}

/** Lets the control plane have so many replicas, and waits until it has. */
export async function scaleControlPlane(cluster: MeshCluster, replicas: number): Promise<void> {
  const path = `${DEPLOYMENTS}/${SYSTEM_NAMESPACE}/deployments/trysail`;
  await cluster.call("PATCH", path, { spec: { replicas } }, MERGE);
  await rolledOut(cluster, SYSTEM_NAMESPACE, "trysail");
}

/** Gives the control plane's container another liveness probe, but for what it is asked, and waits until its replicas have it. */
export async function probeControlPlane(cluster: MeshCluster, livenessProbe: object): Promise<void> {
  const path = `${DEPLOYMENTS}/${SYSTEM_NAMESPACE}/deployments/trysail`;
  const body = { spec: { template: { spec: { containers: [{ name: "trysail", livenessProbe }] } } } };
  await cluster.call("PATCH", path, body, "application/strategic-merge-patch+json");
  await rolledOut(cluster, SYSTEM_NAMESPACE, "trysail");
}

/** Waits until every pod of a Deployment is of its last version and ready, and no other is left. */
export async function rolledOut(cluster: MeshCluster, namespace: string, name: string): Promise<void> {
  await until(
    `${namespace}/${name} to be rolled out`,
    async () => {
      const { metadata, spec, status } = await cluster.read(`${DEPLOYMENTS}/${namespace}/deployments/${name}`);
      if (status.observedGeneration !== metadata.generation) return false;
      const [updated = 0, ready = 0, all = 0] = [status.updatedReplicas, status.readyReplicas, status.replicas];
      const { items } = await cluster.read(`/api/v1/namespaces/${namespace}/pods?labelSelector=app%3D${name}`);
      return (
        updated === spec.replicas && ready === spec.replicas && all === spec.replicas && items.length === spec.replicas
      );
    },
    PATIENT,
  );
}
