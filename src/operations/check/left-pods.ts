import { revisionIn } from "../../injection/decide.ts";
import { listAll } from "../../kubernetes/list-all.ts";
import { meshedPods } from "../../kubernetes/meshed-pods.ts";
import type { KubernetesObject } from "../../kubernetes/object.ts";
import { readRevisions, revisionOf, tagOf } from "../revisions.ts";
import { type CheckTarget, namesIn, type Outcome } from "./check.ts";

const STATUS = "sidecar.istio.io/status";
const ASKING = {
  labelSelector: "sidecar.istio.io/inject=true",
  fieldSelector: "status.phase!=Succeeded,status.phase!=Failed",
};

/**
 * Pods that ask by their own labels, as gateways do, and that no webhook has put an Envoy into; and those whose Envoy is of a
 * revision that is gone.
 */
export async function leftPods({ client }: Pick<CheckTarget, "client">): Promise<readonly Outcome[]> {
  const { revisions, tags } = await readRevisions(client);
  const asking = await listAll(client, "/api/v1/pods", { query: ASKING, metadataOnly: true });
  const left = asking.filter(({ metadata }) => metadata.annotations?.[STATUS] === undefined);
  const served = new Set(revisions.map(revisionOf));
  const known = new Set([...served, ...tags.map(tagOf)]);
  const outcomes: Outcome[] = [];
  const meshed = new Map([...asking, ...(await meshedPods(client))].map((pod) => [names([pod]), pod]));
  for (const [revision, those] of Map.groupBy(meshed.values(), injectedBy)) {
    if (revision === undefined || served.has(revision)) continue;
    const message = `pods have an Envoy of revision ${revision}, which is not installed: it gets no news, and its certificate ends within a day: ${names(those)}`;
    const action = `label them, or their namespace, for one of ${namesIn([...known].sort())}, and restart their workloads`;
    outcomes.push({ status: "fail", message, action });
  }
  for (const [revision, those] of Map.groupBy(left, ({ metadata }) => metadata.labels?.["istio.io/rev"])) {
    if (revision !== undefined && !known.has(revision)) {
      const message = `pods ask by their label istio.io/rev for ${revision}, a revision or tag that nobody serves: ${names(those)}`;
      const action = `have their workload, such as the chart gateway by its value revision, name one of ${namesIn([...known].sort())}, or set the tag: trysail tag set`;
      outcomes.push({ status: "fail", message, action });
    } else {
      const message = `pods ask for an Envoy by their label sidecar.istio.io/inject, and have none: ${names(those)}`;
      const action =
        "delete those that were created while no webhook answered; Events on what made the others say why, such as hostNetwork";
      outcomes.push({ status: "warn", message, action });
    }
  }
  return outcomes;
}

function injectedBy({ metadata }: KubernetesObject): string | undefined {
  return revisionIn(metadata.annotations?.[STATUS] ?? "");
}

function names(pods: readonly KubernetesObject[]): string {
  return namesIn(pods.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`));
}
