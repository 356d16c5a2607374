import type { Clock } from "../platform/clock.ts";
import type { Random } from "../platform/random.ts";
import type { KubernetesClient } from "./client.ts";
import type { KubernetesObject } from "./object.ts";
import { startReflector } from "./reflector.ts";
import { resourcePath } from "./resource-path.ts";

export interface AccountUidsDeps {
  readonly client: Pick<KubernetesClient, "list" | "watch">;
  readonly clock: Clock;
  readonly random: Pick<Random, "fraction">;
}

/** The uids of the service accounts that exist now. Until the first list is read there are none. */
export interface AccountUids {
  uidOf(namespace: string, name: string): string | undefined;
  stop(): void;
}

/** Follows the cluster's service accounts; needs `list` and `watch` on `serviceaccounts`. */
export function followAccountUids(deps: AccountUidsDeps): AccountUids {
  let uids = new Map<string, string>();
  const keyOf = ({ metadata }: KubernetesObject): string => `${metadata.namespace}/${metadata.name}`;
  const stop = startReflector({
    ...deps,
    path: resourcePath({ apiVersion: "v1", resource: "serviceaccounts" }),
    metadataOnly: true,
    sink: {
      beginList() {
        const listed = new Map<string, string>();
        return {
          add(items) {
            for (const item of items) listed.set(keyOf(item), item.metadata.uid ?? "");
          },
          end() {
            uids = listed;
          },
        };
      },
      apply({ type, object }) {
        if (type === "DELETED") uids.delete(keyOf(object));
        else if (type !== "BOOKMARK") uids.set(keyOf(object), object.metadata.uid ?? "");
      },
      stateChanged() {},
    },
  });
  return { uidOf: (namespace, name) => uids.get(`${namespace}/${name}`), stop };
}
