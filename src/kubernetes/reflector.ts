import type { Clock } from "../platform/clock.ts";
import { messageOf, TrysailError } from "../platform/errors.ts";
import type { Random } from "../platform/random.ts";
import type { KubernetesClient } from "./client.ts";
import type { KubernetesObject } from "./object.ts";
import type { ObjectChange } from "./watch-events.ts";

export interface ReflectorDeps {
  readonly client: Pick<KubernetesClient, "list" | "watch">;
  readonly clock: Clock;
  readonly random: Pick<Random, "fraction">;
  /** The collection to follow. */
  readonly path: string;
  /** Selectors. */
  readonly query?: Readonly<Record<string, string>>;
  readonly metadataOnly?: boolean;
  readonly sink: ReflectorSink;
  readonly timing?: Partial<ReflectorTiming>;
}

/** Who keeps what is followed. */
export interface ReflectorSink {
  /** What is added until `end` is all there is; a list that breaks off has no end. */
  beginList(): { add(items: readonly KubernetesObject[]): void; end(): void };
  apply(change: ObjectChange): void;
  stateChanged(state: ReflectorState): void;
}

export type ReflectorState =
  /** The list was read and its changes arrive. */
  | { readonly status: "synced" }
  /** The list was read and is read again every now and then: it may not be watched. */
  | { readonly status: "polling"; readonly error: TrysailError }
  /** It may not be listed. */
  | { readonly status: "forbidden"; readonly error: TrysailError }
  /** The API server does not serve it. */
  | { readonly status: "absent"; readonly error: TrysailError }
  /** What was read before holds until this passes. */
  | { readonly status: "failing"; readonly error: TrysailError };

export interface ReflectorTiming {
  /** Behind the first failure in a row; doubles with each further one. */
  readonly firstRetryMs: number;
  readonly longestRetryMs: number;
  /** Between lists of what may not be watched, and looks for what may not be listed or is not there. */
  readonly pollMs: number;
  /** Behind a longer silence the watch is renewed, since its connection may be dead though something still acknowledges packets. */
  readonly silenceMs: number;
  /** At least; up to twice as long, so that many watches are not renewed together. */
  readonly watchLifeSeconds: number;
}

const DEFAULT_TIMING: ReflectorTiming = {
  firstRetryMs: 200,
  longestRetryMs: 30_000,
  pollMs: 10_000,
  // API servers send bookmarks every minute, but only where their etcd tells them of progress in what does not change.
  silenceMs: 90_000,
  watchLifeSeconds: 300,
};

/** A watch that ends sooner than this without news counts as a failure, or a broken server would be asked in a loop. */
const SHORTEST_WATCH_MS = 1000;
/** A version that the server never serves, as after etcd was restored from a backup, must not be asked for for ever. */
const FAILURES_BEFORE_RELIST = 3;

/**
 * Follows a collection: lists it, watches its changes from there on, and goes on from the last event seen when a watch
 * ends or breaks. Lists anew where the server has forgotten that point. Named for client-go's. Returns the stop.
 * https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
 */
export function startReflector(deps: ReflectorDeps): () => void {
  const { client, clock, random, path, query = {}, metadataOnly = false, sink } = deps;
  const timing = { ...DEFAULT_TIMING, ...deps.timing };
  const stopped = new AbortController();
  const { signal } = stopped;
  /** Up to where everything was seen; undefined where a list must come first. */
  let version: string | undefined;
  let failures = 0;
  let reported = "";

  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      try {
        version ??= await list();
        await watch(version);
      } catch (thrown) {
        if (!signal.aborted) await pause(delayAfter(asTrysailError(thrown)));
      }
    }
  };

  const list = async (): Promise<string> => {
    try {
      return await listPages(undefined);
    } catch (error) {
      // The server forgot the moment of the first page while the others were read: all in one is of one moment.
      if (error instanceof TrysailError && error.code === "failed-precondition") return listPages(0);
      throw error;
    }
  };

  const listPages = async (pageSize: number | undefined): Promise<string> => {
    const listing = sink.beginList();
    let listed = "";
    const options = { query, metadataOnly, signal, ...(pageSize === undefined ? {} : { pageSize }) };
    for await (const page of client.list(path, options)) {
      if (signal.aborted) return listed;
      listing.add(page.items);
      listed = page.resourceVersion;
    }
    listing.end();
    return listed;
  };

  const watch = async (from: string): Promise<void> => {
    const startedAt = clock.elapsed();
    let heard = false;
    const lifeSeconds = Math.round(timing.watchLifeSeconds * (1 + random.fraction()));
    const options = { resourceVersion: from, lifeSeconds, silenceMs: timing.silenceMs, query, metadataOnly, signal };
    const events = await client.watch(path, options);
    report({ status: "synced" });
    for await (const { type, object } of events) {
      if (signal.aborted) return;
      const { resourceVersion = version ?? from } = object.metadata;
      if (isOlder(resourceVersion, version ?? from)) {
        const message = `GET ${path}: an event of version ${resourceVersion} came behind version ${version}`;
        // Whether it was undone since cannot be told: the whole of it can.
        version = undefined;
        throw new TrysailError("unavailable", message);
      }
      heard = true;
      failures = 0;
      version = resourceVersion;
      if (type !== "BOOKMARK") sink.apply({ type, object });
    }
    if (!heard && clock.elapsed() - startedAt < SHORTEST_WATCH_MS) {
      throw new TrysailError("unavailable", `GET ${path}: a watch ended as soon as it began`);
    }
    failures = 0;
  };

  const delayAfter = (error: TrysailError): number => {
    failures++;
    const wasListed = version !== undefined;
    if (error.code === "permission-denied" || error.code === "not-found") {
      version = undefined;
      if (error.code === "not-found") report({ status: "absent", error });
      else report({ status: wasListed ? "polling" : "forbidden", error });
      return timing.pollMs;
    }
    if (error.code === "failed-precondition") {
      version = undefined;
      // The first time there is nothing to wait for.
      return failures === 1 ? 0 : backOff();
    }
    if (failures >= FAILURES_BEFORE_RELIST) version = undefined;
    report({ status: "failing", error });
    return backOff();
  };

  const backOff = (): number => {
    const fullMs = Math.min(timing.firstRetryMs * 2 ** Math.min(failures - 1, 20), timing.longestRetryMs);
    return fullMs * (1 - random.fraction() / 2);
  };

  const report = (state: ReflectorState): void => {
    const kind = "error" in state ? `${state.status} ${state.error.code}` : state.status;
    if (kind === reported || signal.aborted) return;
    reported = kind;
    sink.stateChanged(state);
  };

  const pause = (delayMs: number): Promise<void> =>
    new Promise((resolve) => {
      const done = () => {
        cancel();
        signal.removeEventListener("abort", done);
        resolve();
      };
      const cancel = clock.after(delayMs, done);
      signal.addEventListener("abort", done);
    });

  void run();
  return () => stopped.abort();
}

/** Versions are whole numbers, and events come in their order: https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions */
function isOlder(version: string, than: string): boolean {
  const areNumbers = [version, than].every((text) => /^\d+$/.test(text));
  return areNumbers && BigInt(version) < BigInt(than);
}

function asTrysailError(thrown: unknown): TrysailError {
  return thrown instanceof TrysailError ? thrown : new TrysailError("internal", messageOf(thrown), { cause: thrown });
}
