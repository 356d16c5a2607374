import { isRecord } from "../mesh/conform.ts";
import type { KnownObject } from "../mesh/kinds.ts";
import { ownValue } from "../mesh/own-value.ts";
import { kindSchemaOf } from "../mesh/schemas.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import type { KubernetesClient } from "./client.ts";
import { KindStore } from "./kind-store.ts";
import type { KubernetesObject } from "./object.ts";
import { type ReflectorState, type ReflectorTiming, startReflector } from "./reflector.ts";
import { resourcePath } from "./resource-path.ts";

export interface FollowedSecretDeps {
  readonly client: Pick<KubernetesClient, "list" | "watch">;
  readonly clock: Clock;
  readonly random: Pick<Random, "fraction">;
  readonly log: Logger;
  readonly timing?: Partial<ReflectorTiming>;
  onChange(): void;
}

/** One Secret of a cluster, by its name. */
export interface FollowedSecret {
  /** Its last good version, also where it is gone by now. */
  object(): KnownObject | undefined;
  /** `unknown` until the API server has answered; `forbidden` where it may not be read. */
  state(): "unknown" | "forbidden" | "absent" | "present" | "deleted";
  stop(): void;
}

/** What Envoy's secrets are made of (src/sds/credential-secrets.ts); nothing else of a Secret is kept. */
const KEYS = ["tls.crt", "tls.key", "ca.crt", "cert", "key", "cacert"];

/** Follows a Secret and no other: `list` and `watch` may be granted for its name alone. */
export function followSecret(deps: FollowedSecretDeps, namespace: string, name: string): FollowedSecret {
  const { client, clock, random, log, timing = {}, onChange } = deps;
  const entry = kindSchemaOf("Secret");
  if (entry === undefined) throw new Error("Secrets are a kind that is read");
  let last: KnownObject | undefined;
  let access: ReflectorState["status"] | "unknown" = "unknown";
  let wasListed = false;
  const store = new KindStore({ entry, onChange: () => changed() });
  const changed = (): void => {
    last = store.objects()[0] ?? last;
    onChange();
  };
  const stop = startReflector({
    ...{ client, clock, random, timing },
    path: resourcePath({ apiVersion: "v1", resource: "secrets", namespace }),
    query: { fieldSelector: `metadata.name=${name}` },
    sink: {
      beginList() {
        const listing = store.beginList();
        return {
          add: (items) => listing.add(items.map(withCredentialsOnly)),
          end() {
            listing.end();
            wasListed = true;
            changed();
          },
        };
      },
      apply: ({ type, object }) => (type === "DELETED" ? store.remove(object) : store.put(withCredentialsOnly(object))),
      stateChanged(state) {
        access = state.status;
        if ("error" in state) {
          log.info(
            { namespace, name, reason: state.error.message },
            "a Secret that a DestinationRule names cannot be read",
          );
        }
        onChange();
      },
    },
  });
  return {
    object: () => last,
    state() {
      if (access === "forbidden" && !wasListed) return "forbidden";
      if (!wasListed) return access === "failing" || access === "unknown" ? "unknown" : "absent";
      if (store.objects().length > 0) return "present";
      return last === undefined ? "absent" : "deleted";
    },
    stop,
  };
}

function withCredentialsOnly({ metadata, type, data }: KubernetesObject): KubernetesObject {
  const values = isRecord(data) ? data : {};
  const kept = KEYS.flatMap((key) => {
    const value = ownValue(values, key);
    return value === undefined ? [] : [[key, value] as const];
  });
  return { metadata, type, data: Object.fromEntries(kept) };
}
