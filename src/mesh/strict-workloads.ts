import type { PeerAuthentication } from "./istio/peer-authentication.ts";
import { labelsMatch } from "./labels.ts";
import { NamedItems } from "./named-items.ts";
import { olderFirst } from "./object.ts";
import { buildMutualTlsModes } from "./peer-authentication-mode.ts";
import { labelTexts, type Workload } from "./workload-index.ts";

/** Whether a workload takes mutual TLS only, whatever the port, asked of thousands of them under thousands of policies. */
export function indexStrictness(
  policies: readonly PeerAuthentication[],
  rootNamespaces: readonly string[],
): (workload: Workload) => boolean {
  const ordered = [...policies].sort(olderFirst);
  const general = ordered.filter((policy) => selectorOf(policy).length === 0);
  const ofNamespace = Map.groupBy(general, ({ metadata }) => metadata.namespace);
  const selecting = indexSelecting(ordered.filter((policy) => selectorOf(policy).length > 0));
  const known = new Map<Workload, boolean>();
  const isStrict = ({ namespace, labels }: Workload) => {
    const inNamespace = (policy: PeerAuthentication) =>
      policy.metadata.namespace === namespace && labelsMatch(policy.spec.selector?.matchLabels, labels);
    // Of those that reach it alike only the oldest one counts.
    const reaching = [
      ...selecting.first(1, new Set(labelTexts(labels)), inNamespace),
      ...(ofNamespace.get(namespace)?.slice(0, 1) ?? []),
      ...rootNamespaces
        .filter((root) => root !== namespace)
        .flatMap((root) => ofNamespace.get(root)?.slice(0, 1) ?? []),
    ];
    const { mode, byPort } = buildMutualTlsModes(reaching, labels, namespace);
    return mode === "STRICT" && Object.values(byPort).every((portMode) => portMode === "STRICT");
  };
  return (workload) => {
    const answer = known.get(workload) ?? isStrict(workload);
    known.set(workload, answer);
    return answer;
  };
}

/** Each under the one of its labels that the fewest ask for. */
function indexSelecting(policies: readonly PeerAuthentication[]): NamedItems<PeerAuthentication> {
  const counts = new Map<string, number>();
  for (const text of policies.flatMap(selectorOf)) counts.set(text, (counts.get(text) ?? 0) + 1);
  const index = new NamedItems<PeerAuthentication>();
  for (const policy of policies) {
    const rarest = selectorOf(policy).sort((a, b) => (counts.get(a) ?? 0) - (counts.get(b) ?? 0));
    index.add(policy, rarest.slice(0, 1));
  }
  return index;
}

function selectorOf({ spec }: PeerAuthentication): string[] {
  return labelTexts(spec.selector?.matchLabels ?? {});
}
