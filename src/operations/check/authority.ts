import { trustBundleOf } from "../../ca/authority/authority-state.ts";
import { parseAuthorityDocument } from "../../ca/authority/authority-store.ts";
import { AUTHORITY_SECRET } from "../../control-plane/open-authority.ts";
import { listAll } from "../../kubernetes/list-all.ts";
import { resourcePath } from "../../kubernetes/resource-path.ts";
import { secretData } from "../../kubernetes/secret-data.ts";
import { trustBundleIn } from "../../kubernetes/trust-bundle-map.ts";
import { messageOf, TrysailError } from "../../platform/errors.ts";
import { TRUST_BUNDLE_MAP } from "../../platform/trust-bundle.ts";
import { type Check, type CheckTarget, namesIn, type Outcome } from "./check.ts";
import { readDeployedFlags } from "./deployed-flags.ts";

/** Whether a control plane that starts anew finds the mesh's authority, where the mesh has one of its own. */
export const authority: Check = {
  name: "authority",
  when: "after",
  async run(target) {
    const { client, systemNamespace: namespace } = target;
    if ((await readDeployedFlags(target)).signers.externalSigner !== null) {
      return [{ status: "pass", message: "a signer elsewhere signs: there is no key to keep" }];
    }
    const { name } = AUTHORITY_SECRET;
    const where = `Secret ${namespace}/${name}`;
    try {
      const secret = await client.get(resourcePath({ apiVersion: "v1", resource: "secrets", namespace, name }));
      const state = parseAuthorityDocument(secretData(secret, "authority.json")?.toString("utf8") ?? "", where);
      const kept: Outcome = { status: "pass", message: `${where} holds the mesh's authority` };
      return [kept, ...(await otherBundles(client, trustBundleOf(state)))];
    } catch (error) {
      if (!(error instanceof TrysailError)) throw error;
      if (error.code === "not-found") return [lost(`${where} is gone`)];
      if (error.code === "failed-precondition") return [lost(messageOf(error))];
      throw error;
    }
  },
};

/** Two meshes in one cluster overwrite each other's. */
async function otherBundles(client: CheckTarget["client"], bundle: string): Promise<readonly Outcome[]> {
  const query = { fieldSelector: `metadata.name=${TRUST_BUNDLE_MAP}` };
  const maps = await listAll(client, resourcePath({ apiVersion: "v1", resource: "configmaps" }), { query });
  const others = maps.filter((map) => trustBundleIn(map) !== bundle);
  if (others.length === 0) return [];
  const namespaces = namesIn(others.map(({ metadata }) => metadata.namespace ?? ""));
  const message = `the ConfigMap ${TRUST_BUNDLE_MAP} holds other roots than the mesh's in ${namespaces}`;
  const action =
    "the leader puts them back within seconds, unless somebody else writes them too, such as another mesh: see the Events on them";
  return [{ status: "fail", message, action }];
}

function lost(message: string): Outcome {
  const action =
    "restart no control plane: one that runs has the key still, and puts it back where the Secret is deleted; see its log. Where none has it, put the Secret back from a backup; docs/ca-authority.md says what to do without one";
  return { status: "fail", message, action };
}
