import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import type { Clock } from "../platform/clock.ts";
import { messageOf, TrysailError } from "../platform/errors.ts";
import { apiError } from "./api-error.ts";
import type { KubernetesConnection, KubernetesCredentials } from "./connection.ts";

export interface ApiRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Below the server's address, such as `/api/v1/pods`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly accept?: string;
  readonly signal?: AbortSignal;
}

export interface TransportOptions {
  readonly connection: KubernetesConnection;
  readonly clock: Clock;
  /** From a request to the head of its answer. */
  readonly answerMs: number;
  readonly metrics?: RequestMetrics | undefined;
}

export interface RequestMetrics {
  /** A request has ended: with an HTTP status, or without an answer (`none`). */
  requested(result: string): void;
}

/** Sends a request until the API server has taken it or refused it; resolves with an answer of status 2xx, its body unread. */
export type Transport = (request: ApiRequest) => Promise<IncomingMessage>;

/** A list of 500 large objects; what is far beyond is not a Kubernetes API server. */
const MAX_BODY_BYTES = 256 * 2 ** 20;
const MAX_ERROR_BYTES = 2 ** 20;
/** As client-go: a server that is too busy says when to come back, and has done nothing yet. */
const MAX_BUSY_ANSWERS = 5;
const LONGEST_RETRY_AFTER_MS = 30_000;

/**
 * Rejects with a TrysailError: `unavailable` where there was no answer, else as `apiError` says. Renews refused
 * credentials once, and comes back as often as a server asks that is too busy.
 */
export function createTransport({ connection, clock, answerMs, metrics }: TransportOptions): Transport {
  return async (api) => {
    let refreshed = false;
    let busy: TrysailError | undefined;
    for (let busyAnswers = 0; ; ) {
      const credentials = await connection.credentials({ refresh: refreshed });
      const answer = await sendOnce(api, credentials).catch((error: unknown) => {
        metrics?.requested("none");
        // Whoever has no more time is told what took it.
        throw api.signal?.aborted === true ? (busy ?? error) : error;
      });
      const status = answer.statusCode ?? 0;
      metrics?.requested(String(status));
      if (status >= 200 && status < 300) return answer;
      const error = apiError(describe(api), status, await readError(answer));
      if (status === 401 && !refreshed) {
        refreshed = true;
      } else if (status === 429 && busyAnswers < MAX_BUSY_ANSWERS) {
        busyAnswers++;
        busy = error;
        await wait(retryAfterMs(answer), api.signal);
        if (api.signal?.aborted === true) throw error;
      } else {
        throw error;
      }
    }
  };

  async function sendOnce(api: ApiRequest, credentials: KubernetesCredentials): Promise<IncomingMessage> {
    try {
      return await send(api, credentials);
    } catch (cause) {
      // An idle connection that the server closes just as it is used again: nothing was read, so nothing was done.
      if (api.method !== "GET" || !isReset(cause) || api.signal?.aborted === true) throw unanswered(api, cause);
    }
    // Asked for anew, since the connection may have been closed here.
    const again = await connection.credentials({ refresh: false });
    try {
      return await send(api, again);
    } catch (cause) {
      throw unanswered(api, cause);
    }
  }

  function send(api: ApiRequest, { agent, headers }: KubernetesCredentials): Promise<IncomingMessage> {
    const { method, path, query, body, contentType = "application/json", accept = "application/json", signal } = api;
    const url = new URL(`${connection.server}${path}`);
    for (const [name, value] of Object.entries(query ?? {})) url.searchParams.set(name, value);
    const text = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const content = text === undefined ? {} : { "content-type": contentType, "content-length": text.length };
    return new Promise((resolve, reject) => {
      const outgoing = request(url, {
        method,
        agent,
        headers: { accept, "user-agent": "trysail", ...content, ...headers },
        ...(signal === undefined ? {} : { signal }),
      });
      const cancelDeadline = clock.after(answerMs, () => {
        outgoing.destroy(new Error(`no answer within ${answerMs / 1000} s`));
      });
      outgoing.once("response", (answer) => {
        cancelDeadline();
        resolve(answer);
      });
      // Stays: a connection may also break behind the answer, which whoever reads the body is told of.
      outgoing.on("error", (error) => {
        cancelDeadline();
        reject(error);
      });
      outgoing.end(text);
    });
  }

  /** What the server says about its refusal, as far as it says anything. */
  async function readError(answer: IncomingMessage): Promise<unknown> {
    const cancelDeadline = clock.after(answerMs, () => answer.destroy(new Error("the answer took too long")));
    try {
      return JSON.parse(await readBody(answer, MAX_ERROR_BYTES));
    } catch {
      return undefined;
    } finally {
      cancelDeadline();
    }
  }

  function wait(delayMs: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        cancel();
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const cancel = clock.after(delayMs, done);
      signal?.addEventListener("abort", done);
    });
  }
}

/** The whole body as JSON. Rejects with `unavailable` where it breaks off, is no JSON or takes longer than `answerMs`. */
export async function readJson(
  answer: IncomingMessage,
  what: string,
  { clock, answerMs }: Pick<TransportOptions, "clock" | "answerMs">,
): Promise<unknown> {
  const cancelDeadline = clock.after(answerMs, () => {
    answer.destroy(new Error(`the answer took longer than ${answerMs / 1000} s`));
  });
  try {
    return JSON.parse(await readBody(answer, MAX_BODY_BYTES));
  } catch (cause) {
    throw new TrysailError("unavailable", `${what}: ${messageOf(cause)}`, { cause });
  } finally {
    cancelDeadline();
  }
}

export function describe({ method, path }: Pick<ApiRequest, "method" | "path">): string {
  return `${method} ${path}`;
}

async function readBody(answer: IncomingMessage, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of answer) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > maxBytes) throw new Error(`the answer is longer than ${maxBytes} bytes`);
  }
  return Buffer.concat(chunks).toString();
}

function unanswered(api: ApiRequest, cause: unknown): TrysailError {
  const { signal } = api;
  const why = signal?.aborted === true ? signal.reason : cause;
  return new TrysailError("unavailable", `${describe(api)}: ${messageOf(why)}`, { cause });
}

function isReset(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && (cause.code === "ECONNRESET" || cause.code === "EPIPE");
}

function retryAfterMs({ headers }: IncomingMessage): number {
  const seconds = Number(headers["retry-after"] ?? "1");
  return Number.isFinite(seconds) ? Math.min(Math.max(seconds, 0.1) * 1000, LONGEST_RETRY_AFTER_MS) : 1000;
}
