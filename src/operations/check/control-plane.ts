import { leaderLeaseName } from "../../control-plane/required-access.ts";
import { resourcePath } from "../../kubernetes/resource-path.ts";
import { isRecord } from "../../mesh/conform.ts";
import { type Check, type CheckTarget, controlPlaneName, type Outcome, orNull } from "./check.ts";

/** A leader renews its Lease every 2 s, and another takes over within 15 s. */
const LEADERLESS_MS = 30_000;

/** Whether its replicas are ready, can be reached and started anew, and one of them leads. */
export const controlPlane: Check = {
  name: "control plane",
  when: "after",
  async run(target) {
    return [...(await replicas(target)), await leader(target)];
  },
};

async function replicas(target: CheckTarget): Promise<readonly Outcome[]> {
  const { client, systemNamespace: namespace, revision } = target;
  const name = controlPlaneName(revision);
  const deployment = await orNull(
    client.get(resourcePath({ apiVersion: "apps/v1", resource: "deployments", namespace, name })),
  );
  if (deployment === null) {
    const message = `there is no Deployment ${name} in ${namespace}`;
    const action = "install it by Helm, name another --namespace or --revision, or ask with --pre before installing";
    return [{ status: "fail", message, action }];
  }
  const missing = await missingParts(target);
  const [wanted, ready] = [numberIn(deployment.spec, "replicas"), numberIn(deployment.status, "readyReplicas")];
  const message = `${ready} of ${wanted} replicas of ${name} are ready`;
  const action = `kubectl -n ${namespace} get pods -l app=trysail,istio.io/rev=${revision}; their logs and /ready say why`;
  if (ready === 0) return [{ status: "fail", message, action }, ...missing];
  return [ready < wanted ? { status: "warn", message, action } : { status: "pass", message }, ...missing];
}

/** What its pods do not notice while they run: connections go on, and files are read at the start. */
async function missingParts({ client, systemNamespace: namespace, revision }: CheckTarget): Promise<Outcome[]> {
  const name = controlPlaneName(revision);
  const parts = [
    { kind: "Service", resource: "services", name, harm: "new pods and proxies do not find the control plane" },
    { kind: "ConfigMap", resource: "configmaps", name: `${name}-injection`, harm: "no replica can start anew" },
  ];
  const outcomes: Outcome[] = [];
  for (const { kind, resource, name, harm } of parts) {
    const path = resourcePath({ apiVersion: "v1", resource, namespace, name });
    if ((await orNull(client.get(path))) !== null) continue;
    const message = `there is no ${kind} ${name} in ${namespace}, without which ${harm}`;
    outcomes.push({ status: "fail", message, action: "helm upgrade brings it back" });
  }
  return outcomes;
}

async function leader({ client, systemNamespace: namespace, revision }: CheckTarget): Promise<Outcome> {
  const name = leaderLeaseName(revision);
  const address = { apiVersion: "coordination.k8s.io/v1", resource: "leases", namespace, name };
  const lease = await orNull(client.get(resourcePath(address)));
  const spec = isRecord(lease?.spec) ? lease.spec : {};
  const action = "without a leader no root reaches new namespaces and webhooks: see the control plane's log";
  if (typeof spec.holderIdentity !== "string" || spec.holderIdentity === "") {
    return { status: "fail", message: `nobody holds the Lease ${name}`, action };
  }
  const ageMs = (await client.serverTime()) - Date.parse(String(spec.renewTime));
  if (ageMs < LEADERLESS_MS) return { status: "pass", message: `${spec.holderIdentity} leads` };
  const message = `${spec.holderIdentity} has not renewed the Lease ${name} for ${Math.round(ageMs / 1000)} s, or its clock is behind`;
  return { status: "fail", message, action };
}

function numberIn(value: unknown, field: string): number {
  const number = isRecord(value) ? value[field] : undefined;
  return typeof number === "number" ? number : 0;
}
