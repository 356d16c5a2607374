import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import type { KubernetesClient } from "./client.ts";
import { objectMap } from "./object-map.ts";
import { startReflector } from "./reflector.ts";
import { resourcePath } from "./resource-path.ts";

export interface RevisionTagsDeps {
  readonly client: Pick<KubernetesClient, "list" | "watch">;
  readonly clock: Clock;
  readonly random: Pick<Random, "fraction">;
  readonly log: Logger;
  /** Of the webhook configurations of a revision's tags. */
  readonly labelSelector: string;
  readonly label: string;
}

/** The tags that lead to a revision now. */
export interface RevisionTags {
  /** Sorted; the same list until it changes. */
  current(): readonly string[];
  stop(): void;
}

/** Follows the tags of a revision by a label of their webhook configurations. */
export function followRevisionTags({ label, labelSelector, log, ...deps }: RevisionTagsDeps): RevisionTags {
  let current: readonly string[] = Object.freeze([]);
  const configurations = objectMap(
    ({ metadata }) => metadata.labels?.[label] ?? "",
    (tags) => {
      current = Object.freeze([...new Set(tags.values())].sort());
    },
  );
  const stop = startReflector({
    ...deps,
    path: resourcePath({
      apiVersion: "admissionregistration.k8s.io/v1",
      resource: "mutatingwebhookconfigurations",
    }),
    query: { labelSelector },
    metadataOnly: true,
    sink: {
      ...configurations,
      stateChanged(state) {
        if ("error" in state) log.warn({ reason: state.error.message }, "revision tags cannot be followed");
      },
    },
  });
  return { current: () => current, stop };
}
