import { describeObject, type ObjectRef } from "../mesh/finding.ts";
import type { Clock } from "../platform/clock.ts";
import { messageOf, TrysailError } from "../platform/errors.ts";
import type { Logger } from "../platform/log.ts";
import type { ObjectStatus } from "../status/object-status.ts";
import type { KubernetesClient } from "./client.ts";
import { qualifiedResource, type ServedKind } from "./discover-kinds.ts";
import type { KubernetesObject } from "./object.ts";
import { resourcePath } from "./resource-path.ts";
import { type StatusDifference, statusPatch } from "./status-patch.ts";

/** An object as the API server has it, and what its status is to be. */
export interface StatusWrite {
  readonly served: ServedKind;
  readonly live: KubernetesObject;
  readonly wanted: ObjectStatus;
  readonly difference: Exclude<StatusDifference, "none">;
}

export interface StatusWriterDeps {
  readonly client: Pick<KubernetesClient, "patch">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics?: StatusMetrics | undefined;
  readonly limits?: Partial<StatusLimits> | undefined;
  /** What there is to write of an object now; undefined where nothing is. */
  due(key: string): StatusWrite | undefined;
  written(key: string, object: KubernetesObject): void;
}

export interface StatusMetrics {
  written(result: "written" | "conflict" | "gone" | "denied" | "refused" | "failed"): void;
}

export interface StatusLimits {
  /** Written in a second, on average. */
  readonly perSecond: number;
  /** Written at once behind a calm. */
  readonly burst: number;
  /** Between two writes of one object, where numbers alone differ. */
  readonly numbersMs: number;
}

export interface StatusWriter {
  /** There may be something to write of the object. */
  consider(key: string): void;
  /** The object is gone. */
  forget(key: string): void;
  stop(): void;
}

const DEFAULT_LIMITS: StatusLimits = { perSecond: 20, burst: 50, numbersMs: 30_000 };
const AT_ONCE = 4;
/** Between two writes of one object. Doubles while somebody undoes what was written. */
const AGAIN_MS = 1000;
const LONGEST_PAUSE_MS = 60_000;
/** Behind a conflict the object's next version is on its way. */
const CONFLICT_MS = 200;

/** Writes statuses in the background, no faster than the limits allow, and each only while there is a reason to. */
export function createStatusWriter(deps: StatusWriterDeps): StatusWriter {
  const { client, clock, log, metrics, due, written } = deps;
  const limits = { ...DEFAULT_LIMITS, ...deps.limits };
  const waiting = new Set<string>();
  const writing = new Set<string>();
  /** The last write of each object, and how often in a row it was the same one. */
  const lastWrites = new Map<string, { readonly text: string; readonly atMs: number; readonly times: number }>();
  const notBefore = new Map<string, number>();
  /** Kinds of which none may be written, and until when that is believed. */
  const denied = new Map<string, number>();
  const refusedKinds = new Set<string>();
  const startedAtMs = clock.elapsed();
  let tokens = limits.burst;
  let tokensAtMs = startedAtMs;
  let failures = 0;
  let pausedUntilMs = 0;
  let wake: { readonly atMs: number; cancel(): void } | undefined;
  let stopped = false;

  const wakeAt = (atMs: number): void => {
    if (stopped || (wake !== undefined && wake.atMs <= atMs)) return;
    wake?.cancel();
    const cancel = clock.after(Math.max(0, atMs - clock.elapsed()), () => {
      wake = undefined;
      work();
    });
    wake = { atMs, cancel };
  };

  const work = (): void => {
    const now = clock.elapsed();
    tokens = Math.min(limits.burst, tokens + ((now - tokensAtMs) * limits.perSecond) / 1000);
    tokensAtMs = now;
    if (pausedUntilMs > now) {
      wakeAt(pausedUntilMs);
      return;
    }
    for (const key of waiting) {
      if (stopped || writing.size >= AT_ONCE) return;
      if (writing.has(key)) continue;
      const write = due(key);
      const readyAtMs = write === undefined ? now : readyAt(key, write);
      if (write === undefined) {
        waiting.delete(key);
      } else if (readyAtMs > now) {
        wakeAt(readyAtMs);
      } else if (tokens < 1) {
        wakeAt(now + Math.ceil(((1 - tokens) * 1000) / limits.perSecond));
        return;
      } else {
        tokens -= 1;
        waiting.delete(key);
        void tryToWrite(key, write);
      }
    }
  };

  const readyAt = (key: string, { served, wanted, difference }: StatusWrite): number => {
    const last = lastWrites.get(key);
    const isSame = last?.text === JSON.stringify(wanted);
    const pauseMs = isSame ? Math.min(AGAIN_MS * 2 ** last.times, LONGEST_PAUSE_MS) : AGAIN_MS;
    // Behind a start proxies are only about to come back: the numbers of an earlier leader are as good.
    const again =
      difference === "numbers" ? (last?.atMs ?? startedAtMs) + limits.numbersMs : (last?.atMs ?? 0) + pauseMs;
    return Math.max(again, notBefore.get(key) ?? 0, denied.get(served.entry.kind) ?? 0);
  };

  const tryToWrite = async (key: string, write: StatusWrite): Promise<void> => {
    const { served, live, wanted } = write;
    const { namespace, name } = wanted.object;
    const path = resourcePath({ ...served, namespace, name, subresource: "status" });
    const text = JSON.stringify(wanted);
    const before = lastWrites.get(key);
    writing.add(key);
    try {
      const object = await client.patch(path, { type: "merge", object: statusPatch(live, wanted, clock.now()) });
      metrics?.written("written");
      failures = 0;
      denied.delete(served.entry.kind);
      lastWrites.set(key, { text, atMs: clock.elapsed(), times: before?.text === text ? before.times + 1 : 0 });
      notBefore.delete(key);
      if (!stopped) written(key, object);
    } catch (thrown) {
      if (!stopped) failed(key, write, thrown);
    } finally {
      writing.delete(key);
      if (!stopped) {
        waiting.add(key);
        work();
      }
    }
  };

  const failed = (key: string, { served, wanted }: StatusWrite, thrown: unknown): void => {
    const now = clock.elapsed();
    const code = thrown instanceof TrysailError ? thrown.code : "internal";
    const { kind } = served.entry;
    if (code === "aborted") {
      metrics?.written("conflict");
      notBefore.set(key, now + CONFLICT_MS);
    } else if (code === "not-found") {
      // Deleted meanwhile, which the watch will tell; or a CRD without the status subresource.
      metrics?.written("gone");
      notBefore.set(key, now + LONGEST_PAUSE_MS);
    } else if (code === "permission-denied") {
      metrics?.written("denied");
      if (!denied.has(kind)) tellDenied(served);
      denied.set(kind, now + LONGEST_PAUSE_MS);
    } else if (code === "invalid-argument") {
      metrics?.written("refused");
      notBefore.set(key, now + LONGEST_PAUSE_MS);
      if (!refusedKinds.has(kind)) tellRefused(wanted.object, thrown);
      refusedKinds.add(kind);
    } else {
      metrics?.written("failed");
      if (failures === 0) log.warn({ reason: messageOf(thrown) }, "statuses cannot be written now");
      pausedUntilMs = now + Math.min(AGAIN_MS * 2 ** failures, LONGEST_PAUSE_MS);
      failures++;
    }
  };

  const tellDenied = (served: ServedKind): void => {
    const resource = qualifiedResource(served).replace(served.resource, `${served.resource}/status`);
    const message = `the control plane may not patch ${resource}: grant it the verb in its ClusterRole; until then these objects show no status, the rest works`;
    log.warn({ kind: served.entry.kind }, message);
  };

  const tellRefused = (object: ObjectRef, thrown: unknown): void => {
    log.warn({ object: describeObject(object), reason: messageOf(thrown) }, "the API server refuses a status");
  };

  return {
    consider(key) {
      if (stopped) return;
      waiting.add(key);
      wakeAt(clock.elapsed());
    },
    forget(key) {
      waiting.delete(key);
      lastWrites.delete(key);
      notBefore.delete(key);
    },
    stop() {
      stopped = true;
      wake?.cancel();
    },
  };
}
