import { namespacesUnder, readNamespaces, readRevisions } from "../revisions.ts";
import type { InstalledConfiguration } from "../webhook-configuration.ts";
import { type Check, controlPlaneName, namesIn, type Outcome } from "./check.ts";

/** Whose webhooks these are, by the domain at the end of the webhooks' names. */
const MESHES: readonly { readonly mesh: string; readonly webhook: RegExp }[] = [
  { mesh: "Istio", webhook: /(^|\.)sidecar-injector\.istio\.io$/ },
  { mesh: "Linkerd", webhook: /(^|\.)linkerd-proxy-injector\.linkerd\.io$/ },
  { mesh: "Consul", webhook: /(^|\.)consul-connect-injector\.consul\.hashicorp\.com$/ },
];

/** Injectors of other meshes, and namespaces that one of them claims as well. */
export const otherMeshes: Check = {
  name: "other meshes",
  when: "always",
  async run({ client, revision, isInstalled }) {
    const { revisions, tags, others } = await readRevisions(client);
    const installed = others.flatMap((configuration) => {
      const mesh = meshOf(configuration);
      return mesh === undefined ? [] : [{ mesh, configuration }];
    });
    if (installed.length === 0) return [{ status: "pass", message: "no other mesh injects pods" }];
    const all = await readNamespaces(client);
    const ours = new Set(
      isInstalled
        ? [...revisions, ...tags].flatMap((configuration) => namespacesUnder(configuration, all))
        : all
            .filter(({ metadata }) => wouldClaim(metadata.labels ?? {}, revision))
            .map(({ metadata }) => metadata.name),
    );
    return installed.map(({ mesh, configuration }): Outcome => {
      const { name } = configuration;
      const shared = namespacesUnder(configuration, all).filter((namespace) => ours.has(namespace));
      if (shared.length === 0) {
        return { status: "pass", message: `${mesh} (${name}) is here too, for other namespaces` };
      }
      const message = `${mesh} (${name}) and ${controlPlaneName(revision)} both claim ${namesIn(shared)}`;
      const action =
        "run Trysail as a revision of its own (--set revision=trysail) and label namespaces istio.io/rev=trysail, or take the other mesh away";
      return { status: "fail", message, action };
    });
  },
};

function meshOf({ webhooks }: InstalledConfiguration): string | undefined {
  return MESHES.find(({ webhook }) => webhooks.some(({ name }) => webhook.test(name)))?.mesh;
}

/** As the webhooks will say that the chart installs. */
function wouldClaim(labels: Readonly<Record<string, string>>, revision: string): boolean {
  const injection = labels["istio-injection"];
  if (injection !== undefined) return injection === "enabled" && revision === "default";
  return labels["istio.io/rev"] === revision;
}
