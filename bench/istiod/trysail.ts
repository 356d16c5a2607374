import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestKubernetes } from "../../test/cluster/start-kubernetes.ts";
import type { Cleanup } from "../../test/support/cleanup.ts";
import { postObjects } from "../cluster-objects.ts";
import { startControlPlane } from "../control-plane.ts";
import type { Contender } from "./contender.ts";

const NAMESPACE = "trysail-system";
const AUTHORITY = `/api/v1/namespaces/${NAMESPACE}/secrets/trysail-ca-secret`;

/** Starts Trysail as it is published, in front of the cluster. */
export async function startTrysail(t: Cleanup, kubernetes: TestKubernetes, scratch: string): Promise<Contender> {
  await postObjects(kubernetes, [{ apiVersion: "v1", kind: "Namespace", metadata: { name: NAMESPACE } }]);
  const folder = join(scratch, "trysail");
  await mkdir(folder);
  const controlPlane = await startControlPlane({ kubeconfig: kubernetes.kubeconfig }, folder);
  t.after(controlPlane.stop);
  const { body } = await kubernetes.call("GET", AUTHORITY);
  const rootCertFile = join(folder, "root.pem");
  await writeFile(rootCertFile, Buffer.from(body.data["root-cert.pem"], "base64"));
  return { ...controlPlane, name: "Trysail", rootCertFile };
}
