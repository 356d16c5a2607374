import type { IncomingMessage } from "node:http";
import { isRecord } from "../mesh/conform.ts";
import type { Clock } from "../platform/clock.ts";
import { messageOf, TrysailError } from "../platform/errors.ts";
import { apiError } from "./api-error.ts";
import { type KubernetesObject, parseKubernetesObject } from "./object.ts";

/** What became of an object. */
export interface ObjectChange {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly object: KubernetesObject;
}

export interface WatchEvent {
  readonly type: ObjectChange["type"] | "BOOKMARK";
  /** Of a bookmark only `metadata.resourceVersion` counts: everything up to it was sent. */
  readonly object: KubernetesObject;
}

export interface WatchEventsOptions {
  /** Such as `GET /api/v1/pods`, for errors. */
  readonly what: string;
  readonly clock: Clock;
  /** How long the server may say nothing at all. */
  readonly silenceMs: number;
}

const TYPES: readonly WatchEvent["type"][] = ["ADDED", "MODIFIED", "DELETED", "BOOKMARK"];
/** etcd stores 1.5 MiB, which managed fields and JSON can make more of. */
const MAX_LINE_BYTES = 16 * 2 ** 20;

/**
 * The events of a watch's answer, one JSON document a line. Ends where the server ends it, and behind a silence, which may
 * be that of a dead connection as well as that of a server without news; throws a TrysailError: `unavailable` for a
 * connection that broke, `failed-precondition` where the server no longer knows the version to start from, else as the
 * server's own ERROR event says.
 */
export async function* readWatchEvents(
  answer: IncomingMessage,
  { what, clock, silenceMs }: WatchEventsOptions,
): AsyncGenerator<WatchEvent> {
  let isSilent = false;
  const stall = () => {
    isSilent = true;
    answer.destroy();
  };
  let cancelDeadline = clock.after(silenceMs, stall);
  let rest = Buffer.alloc(0);
  try {
    for await (const chunk of answer) {
      cancelDeadline();
      cancelDeadline = clock.after(silenceMs, stall);
      const data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      let start = 0;
      for (let end = data.indexOf(10, start); end !== -1; end = data.indexOf(10, start)) {
        if (end > start) yield parseEvent(data.toString("utf8", start, end), what);
        start = end + 1;
      }
      rest = data.subarray(start);
      if (rest.length > MAX_LINE_BYTES) throw new Error(`an event is longer than ${MAX_LINE_BYTES} bytes`);
    }
  } catch (cause) {
    if (isSilent) return;
    if (cause instanceof TrysailError) throw cause;
    throw new TrysailError("unavailable", `${what}: ${messageOf(cause)}`, { cause });
  } finally {
    cancelDeadline();
    answer.destroy();
  }
}

function parseEvent(line: string, what: string): WatchEvent {
  const event: unknown = JSON.parse(line);
  if (isRecord(event) && event.type === "ERROR") {
    const status = isRecord(event.object) && typeof event.object.code === "number" ? event.object.code : 500;
    throw apiError(what, status, event.object);
  }
  const type = TYPES.find((known) => isRecord(event) && known === event.type);
  if (!isRecord(event) || type === undefined)
    throw new TrysailError("unavailable", `${what}: an event of no known type`);
  return { type, object: parseKubernetesObject(event.object, what) };
}
