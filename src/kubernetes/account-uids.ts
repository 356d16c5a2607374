import type { Clock } from "../platform/clock.ts";
import type { Random } from "../platform/random.ts";
import type { KubernetesClient } from "./client.ts";
import { objectMap } from "./object-map.ts";
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
  let uids: ReadonlyMap<string, string> = new Map();
  const accounts = objectMap(
    ({ metadata }) => metadata.uid ?? "",
    (now) => {
      uids = now;
    },
  );
  const stop = startReflector({
    ...deps,
    path: resourcePath({ apiVersion: "v1", resource: "serviceaccounts" }),
    metadataOnly: true,
    sink: { ...accounts, stateChanged() {} },
  });
  return { uidOf: (namespace, name) => uids.get(`${namespace}/${name}`), stop };
}
