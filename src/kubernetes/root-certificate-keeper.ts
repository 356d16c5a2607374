import { isRecord } from "../mesh/conform.ts";
import type { Clock } from "../platform/clock.ts";
import { messageOf, TrysailError } from "../platform/errors.ts";
import type { Logger } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import { TRUST_BUNDLE_KEY } from "../platform/trust-bundle.ts";
import type { KubernetesClient } from "./client.ts";
import type { KubernetesObject } from "./object.ts";
import { objectMap } from "./object-map.ts";
import { type ReflectorDeps, startReflector } from "./reflector.ts";
import { resourcePath } from "./resource-path.ts";
import { trustBundleIn } from "./trust-bundle-map.ts";

export interface RootCertificateKeeperDeps {
  readonly client: Pick<KubernetesClient, "list" | "watch" | "patch">;
  readonly clock: Clock;
  readonly random: Pick<Random, "fraction">;
  readonly log: Logger;
  /** Names of the ConfigMaps that each namespace is to have. */
  readonly names: readonly string[];
  readonly trustBundlePem: string;
  /** Called once for each that somebody else goes on writing. */
  onContested?(configMap: { readonly namespace: string; readonly name: string }): void;
}

export interface RootCertificateKeeper {
  setTrustBundle(pem: string): void;
  stop(): void;
}

const FIELD_MANAGER = "trysail";
/** Writes at a time: a new bundle goes to every namespace, and the API server has others to serve. */
const AT_ONCE = 4;
/** Behind a write that failed, and between two writes of one object. */
const RETRY_MS = 1000;
/** Behind a write that is not allowed: it fails in every namespace. */
const DENIED_MS = 10_000;
/** As often in a row it is put back at once; then somebody else keeps it too, and the pauses double. */
const AT_ONCE_BACK = 5;
const LONGEST_PAUSE_MS = 60_000;
/** The API server answers it as it does where a right is missing. */
const TERMINATING = /because it is being terminated/;

/**
 * Keeps a ConfigMap with the trust bundle in every namespace, where pods mount it: in new namespaces, behind a new
 * bundle, and when somebody changes or deletes one.
 */
export function createRootCertificateKeeper(deps: RootCertificateKeeperDeps): RootCertificateKeeper {
  const { client, clock, log } = deps;
  let bundle = deps.trustBundlePem;
  let namespaces: ReadonlySet<string> | undefined;
  /** What each ConfigMap holds, by `NAMESPACE/NAME`; undefined until they were listed. */
  const held = new Map<string, ReadonlyMap<string, string>>();
  const due = new Set<string>();
  /** The last write of each, how long it keeps the next one off, and how many came in a row. */
  const writes = new Map<string, { readonly atMs: number; readonly pauseMs: number; readonly inARow: number }>();
  let running = 0;
  let denied = false;
  let cancelRetry: (() => void) | undefined;
  let stopped = false;

  const check = (): void => {
    if (namespaces === undefined || held.size < deps.names.length) return;
    for (const namespace of namespaces) {
      for (const [name, texts] of held) {
        const key = `${namespace}/${name}`;
        if (texts.get(key) === bundle) due.delete(key);
        else due.add(key);
      }
    }
    for (const key of [...due, ...writes.keys()]) {
      if (namespaces.has(namespaceOf(key))) continue;
      due.delete(key);
      writes.delete(key);
    }
    work();
  };

  const work = (): void => {
    for (const key of due) {
      if (stopped || running >= AT_ONCE) return;
      const last = writes.get(key);
      const waitMs = last === undefined ? 0 : last.atMs + last.pauseMs - clock.elapsed();
      if (waitMs > 0) {
        cancelRetry ??= clock.after(waitMs, () => {
          cancelRetry = undefined;
          work();
        });
        continue;
      }
      due.delete(key);
      running++;
      void write(key).finally(() => {
        running--;
        work();
      });
    }
  };

  const write = async (key: string): Promise<void> => {
    const [namespace, name] = [namespaceOf(key), nameOf(key)];
    const path = resourcePath({ apiVersion: "v1", resource: "configmaps", namespace, name });
    const object = { apiVersion: "v1", kind: "ConfigMap", metadata: { name }, data: { [TRUST_BUNDLE_KEY]: bundle } };
    begin(key);
    try {
      // Forced: whoever wrote it before us, as Istio's own control plane does, has another root.
      await client.patch(path, { type: "apply", object, fieldManager: FIELD_MANAGER, force: true });
      succeeded(key);
    } catch (error) {
      const code = error instanceof TrysailError ? error.code : undefined;
      const said = { configMap: key, reason: messageOf(error) };
      const isDenied = code === "permission-denied" && !TERMINATING.test(said.reason);
      writes.set(key, { atMs: clock.elapsed(), pauseMs: isDenied ? DENIED_MS : RETRY_MS, inARow: 0 });
      // The namespace is going, or gone: an event says so. Of rights that are missing one line is enough.
      const isKnown = code === "not-found" || (code === "permission-denied" && (!isDenied || denied));
      log[isKnown ? "debug" : "warn"](said, "the root certificate cannot be put into a namespace");
      denied ||= isDenied;
      if (code !== "not-found") due.add(key);
    }
  };

  /** Two that keep one object both slow down, so that a calm of a few pauses ends what was in a row. */
  const begin = (key: string): void => {
    const atMs = clock.elapsed();
    const last = writes.get(key);
    const isInARow = last !== undefined && atMs - last.atMs < 3 * last.pauseMs;
    const inARow = isInARow ? last.inARow + 1 : 1;
    const pauseMs = Math.min(RETRY_MS * 2 ** Math.max(0, inARow - AT_ONCE_BACK), LONGEST_PAUSE_MS);
    writes.set(key, { atMs, pauseMs, inARow });
  };

  const succeeded = (key: string): void => {
    denied = false;
    if (writes.get(key)?.inARow !== AT_ONCE_BACK + 1) return;
    log.warn({ configMap: key }, "the root certificate is overwritten by somebody else all the time");
    deps.onContested?.({ namespace: namespaceOf(key), name: nameOf(key) });
  };

  /** Follows a collection, of whose objects `see` is shown what `keptOf` makes of each. */
  const follow = <T>(
    collection: Pick<ReflectorDeps, "path" | "query">,
    keptOf: (object: KubernetesObject) => T,
    see: (kept: ReadonlyMap<string, T>) => void,
  ) =>
    startReflector({
      ...deps,
      ...collection,
      sink: {
        ...objectMap(keptOf, (kept) => {
          see(kept);
          check();
        }),
        stateChanged(state) {
          if ("error" in state) log.warn({ path: collection.path, reason: state.error.message }, "cannot be followed");
        },
      },
    });

  const stops = [
    follow({ path: resourcePath({ apiVersion: "v1", resource: "namespaces" }) }, isStaying, (staying) => {
      namespaces = new Set([...staying].filter(([, stays]) => stays).map(([key]) => nameOf(key)));
    }),
    ...deps.names.map((name) => {
      const path = resourcePath({ apiVersion: "v1", resource: "configmaps" });
      return follow({ path, query: { fieldSelector: `metadata.name=${name}` } }, trustBundleIn, (texts) => {
        held.set(name, texts);
      });
    }),
  ];

  return {
    setTrustBundle(pem) {
      bundle = pem;
      writes.clear();
      check();
    },
    stop() {
      stopped = true;
      cancelRetry?.();
      for (const stop of stops) stop();
    },
  };
}

/** A namespace that is going takes nothing new. */
function isStaying({ status }: KubernetesObject): boolean {
  return !isRecord(status) || status.phase !== "Terminating";
}

function nameOf(key: string): string {
  return key.slice(key.indexOf("/") + 1);
}

function namespaceOf(key: string): string {
  return key.slice(0, key.indexOf("/"));
}
