import { describeObject } from "../mesh/finding.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import type { ObjectStatus } from "../status/object-status.ts";
import type { KubernetesClient } from "./client.ts";
import { qualifiedResource, type ServedKind } from "./discover-kinds.ts";
import type { KubernetesObject } from "./object.ts";
import { startReflector } from "./reflector.ts";
import { resourcePath } from "./resource-path.ts";
import { statusDifference } from "./status-patch.ts";
import { createStatusWriter, type StatusLimits, type StatusMetrics, type StatusWrite } from "./status-writer.ts";

export interface StatusKeeperDeps {
  readonly client: Pick<KubernetesClient, "list" | "watch" | "patch">;
  readonly clock: Clock;
  readonly random: Pick<Random, "fraction">;
  readonly log: Logger;
  readonly metrics?: StatusMetrics | undefined;
  readonly limits?: Partial<StatusLimits> | undefined;
}

export interface StatusKeeper {
  /** What objects of these kinds are to say from now on. */
  setStatuses(statuses: readonly ObjectStatus[], kinds: readonly ServedKind[]): void;
  stop(): void;
}

interface LiveObject {
  readonly served: ServedKind;
  readonly object: KubernetesObject;
}

/**
 * Keeps the status of objects, by their status subresource: from the start, when it is to say something else, and when
 * somebody changes or clears it. Conditions of others stay. An object of another version than the one that its
 * status would be about is left alone until the two agree.
 */
export function createStatusKeeper(deps: StatusKeeperDeps): StatusKeeper {
  const { client, clock, random } = deps;
  const live = new Map<string, LiveObject>();
  const following = new Map<string, () => void>();
  let wanted: ReadonlyMap<string, ObjectStatus> = new Map();
  let given: readonly ObjectStatus[] = [];

  const due = (key: string): StatusWrite | undefined => {
    const [seen, status] = [live.get(key), wanted.get(key)];
    if (seen === undefined || status === undefined) return undefined;
    const { uid, generation } = seen.object.metadata;
    if ((generation ?? 0) !== (status.observedGeneration ?? 0)) return undefined;
    if (status.uid !== undefined && status.uid !== uid) return undefined;
    const difference = statusDifference(seen.object.status, status);
    return difference === "none" ? undefined : { served: seen.served, live: seen.object, wanted: status, difference };
  };
  const writer = createStatusWriter({
    ...deps,
    due,
    written(key, object) {
      const seen = live.get(key);
      if (seen !== undefined) live.set(key, { ...seen, object: withoutSpec(object) });
    },
  });
  const consider = (key: string): void => {
    if (due(key) !== undefined) writer.consider(key);
  };

  const forget = (key: string): void => {
    live.delete(key);
    writer.forget(key);
  };

  const follow = (served: ServedKind): (() => void) => {
    const see = (object: KubernetesObject): string => {
      const key = keyOf(served, object);
      live.set(key, { served, object: withoutSpec(object) });
      consider(key);
      return key;
    };
    const forgetAllBut = (listed: ReadonlySet<string>) => {
      for (const [key, { served: of }] of live) if (of === served && !listed.has(key)) forget(key);
    };
    const stop = startReflector({
      ...{ client, clock, random },
      path: resourcePath(served),
      sink: {
        beginList() {
          const listed = new Set<string>();
          return {
            add(items) {
              for (const item of items) listed.add(see(item));
            },
            end: () => forgetAllBut(listed),
          };
        },
        apply({ type, object }) {
          if (type === "DELETED") forget(keyOf(served, object));
          else see(object);
        },
        // The source of the mesh, which reads the same, tells what is in the way.
        stateChanged() {},
      },
    });
    return () => {
      stop();
      forgetAllBut(new Set());
    };
  };

  return {
    setStatuses(statuses, kinds) {
      const served = new Map(kinds.map((kind) => [`${kind.apiVersion} ${qualifiedResource(kind)}`, kind]));
      for (const [name, stop] of following) {
        if (served.has(name)) continue;
        following.delete(name);
        stop();
      }
      for (const [name, kind] of served) if (!following.has(name)) following.set(name, follow(kind));
      if (statuses === given) return;
      given = statuses;
      wanted = new Map(statuses.map((status) => [describeObject(status.object), status]));
      for (const key of wanted.keys()) consider(key);
    },
    stop() {
      writer.stop();
      for (const stop of following.values()) stop();
    },
  };
}

/** As `describeObject` has it. */
function keyOf({ entry }: ServedKind, { metadata: { name = "", namespace = "" } }: KubernetesObject): string {
  return describeObject({ kind: entry.kind, namespace, name });
}

/** Thousands of them are held. */
function withoutSpec({ metadata, status }: KubernetesObject): KubernetesObject {
  const { name, namespace, uid, resourceVersion, generation } = metadata;
  return { metadata: { name, namespace, uid, resourceVersion, generation }, status };
}
