import type { Clock } from "../platform/clock.ts";
import { type ErrorCode, messageOf, TrysailError } from "../platform/errors.ts";
import type { Logger } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import type { KubernetesClient } from "./client.ts";
import { resourcePath } from "./resource-path.ts";

/** Something that the users of an object should see in `kubectl describe` and `kubectl get events`. */
export interface RecordedEvent {
  readonly regarding: EventSubject;
  readonly type: "Normal" | "Warning";
  /** UpperCamelCase, stable. */
  readonly reason: string;
  /** What was done or tried, UpperCamelCase. */
  readonly action: string;
  /** For people; cut at 1,024 bytes. */
  readonly note: string;
}

export interface EventSubject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid?: string;
}

export interface EventRecorderDeps {
  readonly client: Pick<KubernetesClient, "create" | "patch">;
  readonly clock: Clock;
  readonly random: Pick<Random, "bytes">;
  readonly log: Logger;
  /** This replica's name. */
  readonly instance: string;
  readonly metrics?: { dropped(): void };
  readonly limits?: Partial<EventLimits>;
}

export interface EventLimits {
  /** Written in a second, on average. */
  readonly perSecond: number;
  /** Written at once behind a calm. */
  readonly burst: number;
  /** Different events that are remembered or wait; past that the oldest are forgotten. */
  readonly remembered: number;
  /** Between two writes of the same event's count. */
  readonly repeatMs: number;
}

export interface EventRecorder {
  /** Never blocks and never throws: what cannot be written is lost. The same event again only raises its count. */
  record(event: RecordedEvent): void;
  stop(): void;
}

const DEFAULT_LIMITS: EventLimits = { perSecond: 5, burst: 50, remembered: 4096, repeatMs: 60_000 };
/** Kubernetes forgets events behind an hour; one that comes again later is a new one. */
const FORGET_MS = 45 * 60_000;
/** Between looks for what to write, so that events that come together are counted together. */
const ROUND_MS = 250;
const MAX_ATTEMPTS = 3;
const PASSING: ReadonlySet<ErrorCode> = new Set(["unavailable", "resource-exhausted"]);
const MAX_NOTE_BYTES = 1024;

/** An event and its repetitions, which are one object: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/ */
interface Series {
  readonly event: RecordedEvent;
  readonly key: string;
  readonly name: string;
  readonly firstAt: number;
  lastAt: number;
  count: number;
  /** As of the last write; 0 while it was not created. */
  writtenCount: number;
  /** In elapsed time, unlike those that are shown. */
  writtenAt: number;
  attempts: number;
}

/** Writes Events in the background, aggregated and no faster than the limits allow. */
export function createEventRecorder(deps: EventRecorderDeps): EventRecorder {
  const { client, clock, random, log, instance, metrics } = deps;
  const limits = { ...DEFAULT_LIMITS, ...deps.limits };
  /** By what makes two the same; the longest unheard of first. */
  const known = new Map<string, Series>();
  /** Those with something to write. */
  const waiting = new Set<Series>();
  let tokens = limits.burst;
  let tokensAt = clock.elapsed();
  let cancelRound: (() => void) | undefined;
  let stopped = false;
  let failing = false;

  const schedule = (): void => {
    if (stopped || cancelRound !== undefined || waiting.size === 0) return;
    cancelRound = clock.after(ROUND_MS, () => {
      void writeRound().finally(() => {
        cancelRound = undefined;
        schedule();
      });
    });
  };

  const writeRound = async (): Promise<void> => {
    const now = clock.elapsed();
    tokens = Math.min(limits.burst, tokens + ((now - tokensAt) * limits.perSecond) / 1000);
    tokensAt = now;
    for (const series of inTurn([...waiting])) {
      if (tokens < 1 || stopped) return;
      if (series.writtenCount > 0 && now - series.writtenAt < limits.repeatMs) continue;
      tokens -= 1;
      waiting.delete(series);
      await tryToWrite(series);
    }
  };

  const tryToWrite = async (series: Series): Promise<void> => {
    try {
      await write(series);
      failing = false;
    } catch (error) {
      series.attempts++;
      const isPassing = error instanceof TrysailError && PASSING.has(error.code);
      if (isPassing && series.attempts < MAX_ATTEMPTS) {
        waiting.add(series);
      } else {
        known.delete(series.key);
        metrics?.dropped();
      }
      if (!failing) log.warn({ reason: messageOf(error) }, "an Event could not be written");
      failing = true;
    }
  };

  const write = async (series: Series): Promise<void> => {
    const { event, name, count, writtenCount } = series;
    const { namespace } = event.regarding;
    // Of cluster-scoped objects they are kept in the default namespace.
    const address = { apiVersion: API_VERSION, resource: "events", namespace: namespace || "default" };
    if (writtenCount === 0) await client.create(resourcePath(address), eventObject(series, instance));
    else
      await client.patch(resourcePath({ ...address, name }), { type: "merge", object: { series: seriesOf(series) } });
    series.writtenCount = count;
    series.writtenAt = clock.elapsed();
    series.attempts = 0;
  };

  const forgetOld = (): void => {
    for (const [key, series] of known) {
      if (clock.now() - series.lastAt < FORGET_MS) return;
      known.delete(key);
      waiting.delete(series);
    }
  };

  const forgetOldest = (): void => {
    for (const [key, series] of known) {
      known.delete(key);
      if (waiting.delete(series)) metrics?.dropped();
      return;
    }
  };

  return {
    record(event) {
      if (stopped) return;
      forgetOld();
      const cut = { ...event, note: cutNote(event.note) };
      const key = keyOf(cut);
      if (known.size >= limits.remembered && !known.has(key)) forgetOldest();
      const series = known.get(key) ?? begin(cut, key);
      series.count++;
      series.lastAt = clock.now();
      // Moved behind the others.
      known.delete(key);
      known.set(key, series);
      waiting.add(series);
      schedule();
    },
    stop() {
      stopped = true;
      cancelRound?.();
    },
  };

  function begin(event: RecordedEvent, key: string): Series {
    const suffix = Buffer.from(random.bytes(8)).toString("hex");
    // Both parts are DNS labels or subdomains, and 253 characters are the most.
    const name = `${event.regarding.name.slice(0, 230)}.${suffix}`;
    const now = clock.now();
    return { event, key, name, firstAt: now, lastAt: now, count: 0, writtenCount: 0, writtenAt: 0, attempts: 0 };
  }
}

/** One of each namespace after the other: what floods one, or is forged for it, must not keep others' from being written. */
function inTurn(waiting: readonly Series[]): readonly Series[] {
  const byNamespace = [...Map.groupBy(waiting, ({ event }) => event.regarding.namespace).values()];
  const longest = byNamespace.reduce((most, { length }) => Math.max(most, length), 0);
  return Array.from({ length: longest }, (_, turn) => byNamespace.flatMap((list) => list[turn] ?? [])).flat();
}

const API_VERSION = "events.k8s.io/v1";

function eventObject(series: Series, instance: string): object {
  const { event, name, count, firstAt } = series;
  const { namespace, ...subject } = event.regarding;
  const regarding = namespace === "" ? subject : { ...subject, namespace };
  return {
    apiVersion: API_VERSION,
    kind: "Event",
    metadata: { name, namespace: namespace || "default" },
    eventTime: microTime(firstAt),
    reportingController: "trysail.io/control-plane",
    reportingInstance: instance.slice(0, 128),
    ...{ regarding, type: event.type, reason: event.reason, action: event.action, note: event.note },
    ...(count > 1 ? { series: seriesOf(series) } : {}),
  };
}

/** The API server takes a series from its second event on. */
function seriesOf({ count, lastAt }: Series): object {
  return { count, lastObservedTime: microTime(lastAt) };
}

function keyOf({ regarding, type, reason, note }: RecordedEvent): string {
  const { kind, namespace, name, uid = "" } = regarding;
  return [kind, namespace, name, uid, type, reason, note].join("\0");
}

function cutNote(note: string): string {
  const bytes = Buffer.from(note);
  if (bytes.length <= MAX_NOTE_BYTES) return note;
  // A character that was cut in half is left out.
  return `${bytes.toString("utf8", 0, MAX_NOTE_BYTES - 4).replace(/\uFFFD$/, "")}…`;
}

function microTime(epochMs: number): string {
  return new Date(epochMs).toISOString().replace("Z", "000Z");
}
