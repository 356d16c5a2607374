import { isDeepStrictEqual } from "node:util";
import type { Namespace } from "../mesh/kubernetes/core.ts";
import type { ObjectSet } from "../mesh/object-set.ts";
import type { Clock } from "../platform/clock.ts";
import type { Source } from "../sources/source.ts";

export interface NamespacesNow {
  /** As the source has it at this moment; undefined where there is none. */
  namespaceOf(name: string): Namespace | undefined;
  /** As it was before its labels were seen to change, for some seconds behind that. */
  formerNamespaceOf(name: string): Namespace | undefined;
}

/** An API server under load was seen to go by labels of a second ago. */
const REMEMBERED_MS = 10_000;

interface Former {
  readonly namespace: Namespace;
  readonly untilMs: number;
}

/**
 * Looks namespaces up without the snapshot's delay: that one waits for changes that come together, and whoever labels a namespace
 * may make its pods in the same breath. The API server, in turn, may pick the webhook of a pod by labels that it has yet to see
 * changed, so what they were counts too for a while.
 */
export function createNamespacesNow(source: Pick<Source, "current">, clock: Pick<Clock, "elapsed">): NamespacesNow {
  let seen: ObjectSet["objects"] | undefined;
  let byName: ReadonlyMap<string, Namespace> = new Map();
  const formers = new Map<string, Former>();

  function look(): void {
    const { objects } = source.current();
    if (objects === seen) return;
    seen = objects;
    const namespaces = objects.filter((object) => object.kind === "Namespace");
    const before = byName;
    byName = new Map(namespaces.map((namespace) => [namespace.metadata.name, namespace]));
    const untilMs = clock.elapsed() + REMEMBERED_MS;
    for (const [name, namespace] of before) {
      const now = byName.get(name);
      if (now === undefined) formers.delete(name);
      else if (namespace !== now && !isDeepStrictEqual(namespace.metadata.labels, now.metadata.labels)) {
        formers.set(name, { namespace, untilMs });
      }
    }
  }

  return {
    namespaceOf(name) {
      look();
      return byName.get(name);
    },
    formerNamespaceOf(name) {
      look();
      const former = formers.get(name);
      if (former === undefined) return undefined;
      if (clock.elapsed() < former.untilMs) return former.namespace;
      formers.delete(name);
      return undefined;
    },
  };
}
