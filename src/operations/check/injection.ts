import { CONTAINER_NAME } from "../../injection/pod-contract.ts";
import type { KubernetesObject } from "../../kubernetes/object.ts";
import { isRecord } from "../../mesh/conform.ts";
import { messageOf, TrysailError } from "../../platform/errors.ts";
import { readNamespaces } from "../revisions.ts";
import { type Check, type CheckTarget, controlPlaneName, type Outcome } from "./check.ts";
import { leftPods } from "./left-pods.ts";
import { unreachable } from "./unreachable.ts";

/** A pod that asks for a sidecar, in a dry run: the API server asks the webhook, and nothing is created. */
export const injection: Check = {
  name: "injection",
  when: "after",
  async run(target) {
    const namespace = await quietNamespace(target);
    if (namespace === undefined) {
      const message = "every namespace has labels about injection, so that no pod can be tried";
      const action = "create a namespace without labels and run this again";
      return [{ status: "warn", message, action }, ...(await leftPods(target))];
    }
    return [await tryPod(target, namespace), ...(await leftPods(target))];
  },
};

async function tryPod({ client, revision, systemNamespace }: CheckTarget, namespace: string): Promise<Outcome> {
  const name = controlPlaneName(revision);
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods`;
  let pod: KubernetesObject;
  try {
    pod = await client.create(path, podOf(revision), { query: { dryRun: "All" } });
  } catch (error) {
    if (!(error instanceof TrysailError) || error.code === "permission-denied") throw error;
    return unreachable("the injection webhook", messageOf(error), { name, systemNamespace });
  }
  const containers = isRecord(pod.spec) && Array.isArray(pod.spec.initContainers) ? pod.spec.initContainers : [];
  if (JSON.stringify(containers).includes(`"${CONTAINER_NAME.proxy}"`)) {
    return {
      status: "pass",
      message: `a pod that asks for revision ${revision} gets its sidecar (dry run in ${namespace})`,
    };
  }
  const message = `a pod that asks for revision ${revision} gets no sidecar (dry run in ${namespace})`;
  const action = `the MutatingWebhookConfiguration is missing or was edited: helm upgrade brings it back`;
  return { status: "fail", message, action };
}

/** Where the pod's own labels decide. */
async function quietNamespace({ client, systemNamespace }: CheckTarget): Promise<string | undefined> {
  const quiet = (await readNamespaces(client))
    .filter(({ metadata: { labels = {} } }) => !("istio-injection" in labels) && !("istio.io/rev" in labels))
    .map(({ metadata }) => metadata.name ?? "")
    .filter((name) => name !== systemNamespace && !name.startsWith("kube-") && name !== "local-path-storage");
  return quiet.includes("default") ? "default" : quiet[0];
}

function podOf(revision: string) {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      generateName: "trysail-check-",
      labels: { "istio.io/rev": revision, "sidecar.istio.io/inject": "true" },
    },
    spec: { automountServiceAccountToken: false, containers: [{ name: "app", image: "trysail/check" }] },
  };
}
