import type { KubernetesObject } from "../../kubernetes/object.ts";
import { namespacesUnder, readNamespaces, readRevisions, revisionOf, tagOf } from "../revisions.ts";
import { type Check, namesIn, type Outcome } from "./check.ts";

const INJECTION = "istio-injection";
const REVISION = "istio.io/rev";

/** Labels that do not mean what their author hoped: two that contradict each other, or one that names nobody. */
export const namespaces: Check = {
  name: "namespaces",
  when: "always",
  async run({ client, isInstalled }) {
    const all = await readNamespaces(client);
    const both = all.filter((namespace) => hasLabel(namespace, INJECTION) && hasLabel(namespace, REVISION));
    const outcomes: Outcome[] = [];
    if (both.length > 0) {
      const message = `labelled both ${INJECTION} and ${REVISION}, of which ${INJECTION} counts: ${namesOf(both)}`;
      outcomes.push({ status: "warn", message, action: `take one of the two labels off` });
    }
    if (isInstalled) outcomes.push(...(await unserved(client, all)));
    if (outcomes.length > 0) return outcomes;
    const asking = all.filter(asksForSidecars).length;
    return [{ status: "pass", message: `${asking} namespaces ask for sidecars, by labels that agree` }];
  },
};

async function unserved(
  client: Parameters<typeof readRevisions>[0],
  all: readonly KubernetesObject[],
): Promise<readonly Outcome[]> {
  const { revisions, tags, others } = await readRevisions(client);
  const claims = [...tags, ...revisions].map((configuration) => ({
    configuration,
    namespaces: namespacesUnder(configuration, all),
  }));
  const foreign = new Set(others.flatMap((configuration) => namespacesUnder(configuration, all)));
  const claimed = new Set(claims.flatMap(({ namespaces }) => namespaces));
  const outcomes: Outcome[] = lostTags({ revisions, tags }, all);
  const unclaimed = all.filter(
    (namespace) => asksForSidecars(namespace) && !claimed.has(nameOf(namespace)) && !foreign.has(nameOf(namespace)),
  );
  if (unclaimed.length > 0) {
    const known = [...new Set([...revisions, ...tags].map(({ labels }) => labels["istio.io/tag"] ?? labels[REVISION]))];
    const message = `ask for a revision or tag that nobody serves, so that their pods get no sidecar: ${namesOf(unclaimed)}`;
    const action =
      known.length === 0
        ? "no control plane is installed: install one by Helm, or ask with --pre before installing"
        : `label them with one of ${known.join(", ")}, or set the tag: trysail tag set`;
    outcomes.push({ status: "fail", message, action });
  }
  const twice = all.map(nameOf).filter((name) => {
    const by = claims.filter(({ namespaces }) => namespaces.includes(name));
    return new Set(by.map(({ configuration }) => revisionOf(configuration))).size > 1;
  });
  if (twice.length > 0) {
    const message = `claimed by two revisions, of which the tag's wins: ${namesIn(twice)}`;
    const action = "uninstall the revision that is left over, or remove the tag";
    outcomes.push({ status: "warn", message, action });
  }
  return outcomes;
}

/** Their webhooks are asked still, and nobody answers: pods are refused. */
function lostTags(
  { revisions, tags }: Pick<Awaited<ReturnType<typeof readRevisions>>, "revisions" | "tags">,
  all: readonly KubernetesObject[],
): Outcome[] {
  const installed = new Set(revisions.map(revisionOf));
  const lost = tags.filter((configuration) => !installed.has(revisionOf(configuration)));
  return lost.map((configuration) => {
    const tag = tagOf(configuration);
    const users = namesIn(namespacesUnder(configuration, all)) || "no namespace, so far";
    const message = `tag ${tag} leads to revision ${revisionOf(configuration)}, which is not installed; it is asked for by ${users}`;
    const action = `trysail tag set ${tag} --revision=… --overwrite, or trysail tag remove ${tag}: until then new pods there are refused`;
    return { status: "fail", message, action };
  });
}

function asksForSidecars({ metadata }: KubernetesObject): boolean {
  const value = metadata.labels?.[INJECTION];
  return value === undefined ? metadata.labels?.[REVISION] !== undefined : value === "enabled";
}

function hasLabel({ metadata }: KubernetesObject, label: string): boolean {
  return metadata.labels?.[label] !== undefined;
}

function nameOf({ metadata }: KubernetesObject): string {
  return metadata.name ?? "";
}

function namesOf(list: readonly KubernetesObject[]): string {
  return namesIn(list.map(nameOf));
}
