import { setTimeout as sleep } from "node:timers/promises";

export interface Outcome {
  /** On the clock of performance.now(). */
  readonly startedAt: number;
  /** Which version of reviews answered; null where the request failed. */
  readonly version: string | null;
  readonly failure?: string;
}

/** One visitor's request to the page, through every proxy on the way. Never rejects. */
export async function visit(page: string, headers: Record<string, string> = {}): Promise<Outcome> {
  const startedAt = performance.now();
  try {
    const response = await fetch(`${page}/api/product`, { headers, signal: AbortSignal.timeout(10_000) });
    const body = await response.text();
    if (!response.ok) return { startedAt, version: null, failure: `${response.status} ${body.trim()}` };
    return { startedAt, version: JSON.parse(body).reviews.version };
  } catch (thrown) {
    return { startedAt, version: null, failure: describe(thrown) };
  }
}

function describe(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  return thrown.cause instanceof Error ? `${thrown.message}: ${thrown.cause.message}` : thrown.message;
}

/** So many visits, `visitors` of them at a time. */
export async function visits(page: string, count: number, visitors = 8): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  let left = count;
  const visitor = async () => {
    while (left-- > 0) outcomes.push(await visit(page));
  };
  await Promise.all(Array.from({ length: visitors }, visitor));
  return outcomes;
}

/**
 * Keeps `visitors` visiting, each with a short pause between two visits, for as long as `during` takes, and lets the
 * requests under way finish.
 */
export async function underLoad<T>(
  page: string,
  during: () => Promise<T>,
  visitors = 4,
): Promise<{ result: T; outcomes: Outcome[] }> {
  const outcomes: Outcome[] = [];
  let running = true;
  const visitor = async () => {
    while (running) {
      outcomes.push(await visit(page));
      await sleep(5);
    }
  };
  const done = Promise.all(Array.from({ length: visitors }, visitor));
  try {
    const result = await during();
    return { result, outcomes };
  } finally {
    running = false;
    await done;
  }
}

export function failures(outcomes: readonly Outcome[]): string[] {
  return outcomes.flatMap(({ failure }) => (failure === undefined ? [] : [failure]));
}
