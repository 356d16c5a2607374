import { isRecord } from "../mesh/conform.ts";
import type { Clock } from "../platform/clock.ts";
import { messageOf, TrysailError } from "../platform/errors.ts";
import type { Logger } from "../platform/log.ts";
import type { KubernetesClient } from "./client.ts";
import type { KubernetesObject } from "./object.ts";
import { resourcePath } from "./resource-path.ts";

export interface LeaderElectionDeps {
  readonly client: Pick<KubernetesClient, "get" | "create" | "replace">;
  readonly clock: Clock;
  readonly log: Logger;
  /** The Lease that the replicas compete for. */
  readonly lease: { readonly namespace: string; readonly name: string };
  /** Of this replica, different for each start. */
  readonly identity: string;
  /** Whether the replica of that identity is known to have ended; it is asked of one that no longer renews its lease. */
  isGone(identity: string, signal: AbortSignal): Promise<boolean>;
  /** Begins what one replica alone may do; what it returns ends that, at once. */
  lead(): () => void;
  readonly timing?: LeaderTiming;
}

export interface LeaderTiming {
  /** How long a leader that is not heard of keeps the lease: whole seconds. */
  readonly leaseMs: number;
  /** How long a leader goes on without a renewal; less than `leaseMs`, so that there are never two. */
  readonly renewalDeadlineMs: number;
  /** Between renewals, and looks of those who wait. */
  readonly retryMs: number;
}

export interface LeaderElection {
  isLeader(): boolean;
  /** Ends the duties and gives the lease back, so that the next leader need not wait. */
  stop(): Promise<void>;
}

/** Another replica leads 12 s after the leader froze, and 6 s after its pod has gone. */
const DEFAULT_TIMING: LeaderTiming = { leaseMs: 10_000, renewalDeadlineMs: 7000, retryMs: 2000 };

/** Renewals that one whose pod has gone must have missed, should it still run: without its pod its token is refused before long. */
const MISSED_RENEWALS = 2;

/** A stop must not wait for an API server that is away. */
const RELEASE_MS = 2000;

/**
 * Competes for a Lease, as client-go's leader election does. No clock is trusted, another replica's as little as one's own that
 * may be set: a lease runs out when it was seen unchanged for its whole life.
 * https://kubernetes.io/docs/concepts/architecture/leases/
 */
export function startLeaderElection(deps: LeaderElectionDeps): LeaderElection {
  const { client, clock, log, lease, identity, timing = DEFAULT_TIMING } = deps;
  const collection = resourcePath({ apiVersion: API_VERSION, resource: "leases", namespace: lease.namespace });
  const path = `${collection}/${encodeURIComponent(lease.name)}`;
  const stopped = new AbortController();
  /** The lease as it was last written, and when it will have run out, unless it is written again. */
  let seen: { readonly version: string; readonly at: number; readonly runsOutAt: number } | undefined;
  let endDuties: (() => void) | undefined;
  let cancelDeadline = () => {};
  let cancelRetry = () => {};
  let failed = false;

  const compete = async (): Promise<void> => {
    const askedAt = clock.elapsed();
    const tooLate = new AbortController();
    // What is answered later is of no use, and the next attempt may find a connection that works.
    const cancelAttempt = clock.after(timing.renewalDeadlineMs, () => {
      tooLate.abort(new Error(`not done within ${timing.renewalDeadlineMs / 1000} s`));
    });
    try {
      const isHolder = await acquireOrRenew(AbortSignal.any([stopped.signal, tooLate.signal]));
      if (stopped.signal.aborted) return;
      if (isHolder) hold(askedAt);
      else lose("another replica holds the lease");
      failed = false;
      wait(isHolder ? timing.retryMs : untilNextLook());
    } catch (error) {
      if (stopped.signal.aborted) return;
      if (!failed) log.warn({ lease, reason: messageOf(error) }, "the lease cannot be read or written");
      failed = true;
      wait(timing.retryMs);
    } finally {
      cancelAttempt();
    }
  };

  const wait = (delayMs: number): void => {
    cancelRetry = clock.after(delayMs, () => void compete());
  };

  /** As soon as the lease runs out, where that comes first. */
  const untilNextLook = (): number => {
    const leftMs = (seen?.runsOutAt ?? 0) - clock.elapsed();
    return leftMs > 0 ? Math.min(leftMs, timing.retryMs) : timing.retryMs;
  };

  /** Whether this replica holds the lease from now on. */
  const acquireOrRenew = async (signal: AbortSignal): Promise<boolean> => {
    const existing = await client.get(path, { signal }).catch(nullIfNotFound);
    if (existing === null) return wins(client.create(collection, leaseObject(identity, 0), { signal }));
    const { holder, lifeMs, transitions } = parseLease(existing, timing.leaseMs);
    const version = existing.metadata.resourceVersion ?? "";
    const now = clock.elapsed();
    if (seen?.version !== version) seen = { version, at: now, runsOutAt: now + lifeMs };
    const isFree = holder === "" || holder === identity || now >= seen.runsOutAt;
    const isSilent = now - seen.at >= MISSED_RENEWALS * timing.retryMs;
    if (!isFree && !(isSilent && (await deps.isGone(holder, signal)))) return false;
    const next = leaseObject(identity, holder === identity ? transitions : transitions + 1, existing);
    return wins(client.replace(path, next, { signal }));
  };

  const leaseObject = (holder: string, transitions: number, existing?: KubernetesObject): object => {
    const now = microTime(clock.now());
    const spec = isRecord(existing?.spec) ? existing.spec : {};
    const acquireTime = spec.holderIdentity === holder && spec.acquireTime !== undefined ? spec.acquireTime : now;
    return {
      apiVersion: API_VERSION,
      kind: "Lease",
      metadata: existing?.metadata ?? lease,
      spec: {
        ...spec,
        holderIdentity: holder,
        leaseDurationSeconds: Math.max(1, Math.round(timing.leaseMs / 1000)),
        acquireTime,
        renewTime: now,
        leaseTransitions: transitions,
      },
    };
  };

  /** `since` is when the renewal was asked for: others may count from then on. */
  const hold = (since: number): void => {
    cancelDeadline();
    cancelDeadline = clock.after(since + timing.renewalDeadlineMs - clock.elapsed(), () => {
      lose("the lease could not be renewed in time");
    });
    if (endDuties !== undefined) return;
    log.info({ lease, identity }, "this replica leads");
    endDuties = deps.lead();
  };

  const lose = (reason: string): void => {
    cancelDeadline();
    if (endDuties === undefined) return;
    log.warn({ lease, identity, reason }, "this replica no longer leads");
    endDuties();
    endDuties = undefined;
  };

  void compete();
  return {
    isLeader: () => endDuties !== undefined,
    async stop() {
      stopped.abort();
      cancelRetry();
      const wasLeader = endDuties !== undefined;
      lose("it stops");
      if (!wasLeader) return;
      const tooLong = new AbortController();
      const cancelLimit = clock.after(RELEASE_MS, () => tooLong.abort());
      const { signal } = tooLong;
      try {
        const existing = await client.get(path, { signal });
        const { holder, transitions } = parseLease(existing, timing.leaseMs);
        if (holder === identity) await client.replace(path, leaseObject("", transitions, existing), { signal });
      } catch (error) {
        log.info({ lease, reason: messageOf(error) }, "the lease was not given back; it runs out by itself");
      } finally {
        cancelLimit();
      }
    },
  };
}

const API_VERSION = "coordination.k8s.io/v1";

function parseLease(object: KubernetesObject, defaultLifeMs: number) {
  const spec = isRecord(object.spec) ? object.spec : {};
  const { holderIdentity, leaseDurationSeconds, leaseTransitions } = spec;
  return {
    holder: typeof holderIdentity === "string" ? holderIdentity : "",
    lifeMs: typeof leaseDurationSeconds === "number" ? leaseDurationSeconds * 1000 : defaultLifeMs,
    transitions: typeof leaseTransitions === "number" ? leaseTransitions : 0,
  };
}

/** Of several that write at once, one wins and the others learn of a conflict. */
async function wins(write: Promise<unknown>): Promise<boolean> {
  try {
    await write;
    return true;
  } catch (error) {
    if (error instanceof TrysailError && (error.code === "aborted" || error.code === "already-exists")) return false;
    throw error;
  }
}

function nullIfNotFound(error: unknown): null {
  if (error instanceof TrysailError && error.code === "not-found") return null;
  throw error;
}

/** RFC 3339 with microseconds, as a Lease has it. */
function microTime(epochMs: number): string {
  return new Date(epochMs).toISOString().replace("Z", "000Z");
}
