import { listAll } from "../../kubernetes/list-all.ts";
import { trimObject } from "../../kubernetes/trim-object.ts";
import type { Finding } from "../../mesh/finding.ts";
import type { ConfigMap } from "../../mesh/kubernetes/core.ts";
import { buildDefaultMeshConfig, meshConfigHolder, parseMeshConfig } from "../../mesh/mesh-config.ts";
import { readObject } from "../../mesh/parse-object.ts";
import { kindSchemaOf } from "../../mesh/schemas.ts";
import type { Check, Outcome } from "./check.ts";

/** Which trust domain it must agree with is the control plane's flag, which is not known here. */
const NOT_TOLD = "data.mesh.trustDomain";

/** Whether the mesh config can be used as somebody edited it: a ConfigMap is refused by no webhook, and has no status. */
export const meshConfig: Check = {
  name: "mesh config",
  when: "after",
  async run({ client, systemNamespace }) {
    const query = { fieldSelector: "metadata.name=istio" };
    const entry = kindSchemaOf("ConfigMap");
    const found = (await listAll(client, "/api/v1/configmaps", { query })).flatMap((item) => {
      const { object } = readObject(entry === undefined ? item : trimObject(item, entry));
      return object?.kind === "ConfigMap" ? [object] : [];
    });
    const holder = meshConfigHolder(found, systemNamespace);
    if (holder === undefined) return [none(found, systemNamespace)];
    const where = `ConfigMap ${holder.metadata.namespace}/istio`;
    const defaults = buildDefaultMeshConfig("cluster.local", systemNamespace);
    const { findings } = parseMeshConfig(holder, { last: defaults, defaults });
    const told = findings.filter(({ field }) => field !== NOT_TOLD);
    if (told.length === 0) return [{ status: "pass", message: `every setting of ${where} is in use` }];
    return told.map((finding) => outcomeOf(finding, where));
  },
};

function none(configMaps: readonly ConfigMap[], namespace: string): Outcome {
  const emptied = configMaps.find(({ metadata }) => metadata.namespace === namespace && metadata.name === "istio");
  if (emptied === undefined) return { status: "pass", message: "no ConfigMap holds any: every setting is as shipped" };
  return {
    status: "warn",
    message: `ConfigMap ${namespace}/istio holds none: a control plane keeps what it said while it ran, and takes what is shipped when it starts anew`,
    action: "helm upgrade puts it back, with the values of meshConfig",
  };
}

function outcomeOf({ severity, message, object }: Finding, where: string): Outcome {
  const told = `${where}: ${message}`;
  if (severity !== "error")
    return { status: "warn", message: told, action: "take it out, or leave it: it does nothing" };
  const edit = `kubectl -n ${object?.namespace} edit configmap istio`;
  const until = "the last good value stays in use, but a control plane that starts anew takes the one that is shipped";
  return { status: "fail", message: told, action: `${edit}: until then ${until}` };
}
