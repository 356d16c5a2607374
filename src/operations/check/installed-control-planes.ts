import { fingerprintsOf } from "../../ca/x509/pem-certificates.ts";
import { resourcePath } from "../../kubernetes/resource-path.ts";
import { secretData } from "../../kubernetes/secret-data.ts";
import { trustBundleIn } from "../../kubernetes/trust-bundle-map.ts";
import { TRUST_BUNDLE_MAP } from "../../platform/trust-bundle.ts";
import { readNamespaces, readRevisions, revisionOf } from "../revisions.ts";
import type { InstalledConfiguration } from "../webhook-configuration.ts";
import { type Check, type CheckTarget, controlPlaneName, type Outcome, orNull } from "./check.ts";
import { readDeployedFlags } from "./deployed-flags.ts";

/** Control planes that are here before this one, and would be in its way: what the chart refuses to be installed beside. */
export const installedControlPlanes: Check = {
  name: "installed",
  when: "before",
  async run(target) {
    const { revisions } = await readRevisions(target.client);
    if (revisions.length === 0) return [{ status: "pass", message: "no control plane of Trysail is here yet" }];
    const all = new Set((await readNamespaces(target.client)).map(({ metadata }) => metadata.name ?? ""));
    return Promise.all(revisions.map((configuration) => outcome(target, configuration, all)));
  },
};

async function outcome(
  target: CheckTarget,
  configuration: InstalledConfiguration,
  all: ReadonlySet<string>,
): Promise<Outcome> {
  const { systemNamespace, revision } = target;
  const other = revisionOf(configuration);
  const place = namespaceOf(configuration) ?? systemNamespace;
  const isSame = other === revision;
  if (!all.has(place)) {
    const message = `${configuration.name} of revision ${other} is left of the namespace ${place}, so that pods that ask for a sidecar are refused`;
    const action =
      isSame && place === systemNamespace ? "install it again under the name that the release had, or " : "";
    return {
      status: "fail",
      message,
      action: `${action}take away what is left: trysail uninstall --namespace ${place}`,
    };
  }
  if (place === systemNamespace) {
    const message = isSame
      ? `revision ${revision} is in ${place} already: helm upgrade goes on with it`
      : `revision ${other} is in ${place} too, beside which this one can run`;
    return { status: "pass", message };
  }
  if (isSame) {
    const message = `revision ${revision} is installed in ${place}, and of each name, such as the ClusterRole ${controlPlaneName(revision)}, a cluster can have one`;
    const action = `go on with that one (--namespace ${place}), or install another revision beside it there (--set revision=canary)`;
    return { status: "fail", message, action };
  }
  const wrong = await otherRoot(target, { place, revision: other });
  if (wrong === null) {
    return {
      status: "pass",
      message: `revision ${other} is in ${place}, and the mesh's root in ${systemNamespace} too`,
    };
  }
  const message = `revision ${other} is in ${place}, and ${wrong}: its workloads would not trust what this one signs`;
  const action = `install this one there too (--namespace ${place}), or give it that mesh's root first (docs/ca-authority.md)`;
  return { status: "fail", message, action };
}

function namespaceOf({ webhooks }: InstalledConfiguration): string | undefined {
  return webhooks.find(({ clientConfig }) => clientConfig.service !== undefined)?.clientConfig.service?.namespace;
}

/** In the order in which a control plane looks for its root, and where in each it is. */
const ROOT_SECRETS = ["trysail-ca-secret", "cacerts", "istio-ca-secret"];
const ROOT_FILES = ["root-cert.pem", "ca.crt", "ca-cert.pem"];

/** Why the control plane would have another root than one in another namespace; null where it would not. */
async function otherRoot(
  target: CheckTarget,
  { place, revision }: { readonly place: string; readonly revision: string },
): Promise<string | null> {
  const { client, systemNamespace } = target;
  if ((await readDeployedFlags({ client, systemNamespace: place, revision })).signers.externalSigner !== null)
    return null;
  const read = (resource: string, namespace: string, name: string) =>
    orNull(client.get(resourcePath({ apiVersion: "v1", resource, namespace, name })));
  for (const name of ROOT_SECRETS) {
    const secret = await read("secrets", systemNamespace, name);
    if (secret === null) continue;
    const map = await read("configmaps", place, TRUST_BUNDLE_MAP);
    const trusted = fingerprints(map === null ? "" : trustBundleIn(map));
    const ours = ROOT_FILES.flatMap((file) => fingerprints(secretData(secret, file)?.toString("utf8") ?? ""));
    // A control plane that never ran has told nobody whom to trust.
    if (trusted.length === 0 || ours.some((root) => trusted.includes(root))) return null;
    return `Secret ${systemNamespace}/${name} has another root than ConfigMap ${place}/${TRUST_BUNDLE_MAP}`;
  }
  return `there is no root of that mesh in ${systemNamespace} (Secret ${ROOT_SECRETS[0]} or cacerts)`;
}

/** None where it holds something else than certificates. */
function fingerprints(pem: string): readonly string[] {
  try {
    return fingerprintsOf(pem);
  } catch {
    return [];
  }
}
