import { createHash } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { DurationSchema } from "@bufbuild/protobuf/wkt";
import type { RateLimitDescriptor } from "../gen/envoy/extensions/common/ratelimit/v3/ratelimit_pb.ts";
import {
  type RateLimitRequest,
  type RateLimitResponse,
  RateLimitResponse_Code,
  type RateLimitResponse_DescriptorStatus,
  RateLimitResponse_DescriptorStatusSchema,
  RateLimitResponse_RateLimit_Unit,
  RateLimitResponseSchema,
} from "../gen/envoy/service/ratelimit/v3/rls_pb.ts";
import { TrysailError } from "../platform/errors.ts";
import type { Charge, CounterStore } from "./counter-store.ts";
import type { CountedLimit, LimitTable } from "./limit-table.ts";
import { type LimitWindow, windowAt } from "./limit-window.ts";

/** What became of one limit's count: `unknown` is a limit that no RateLimit has, or not any more. */
export type Outcome = "within" | "over" | "shadow-over" | "unknown";

export interface AnswerDeps {
  readonly table: LimitTable;
  readonly store: Pick<CounterStore, "charge">;
  readonly nowMs: number;
  counted(limit: string, outcome: Outcome): void;
}

/** Far more than a RateLimit can ask for. */
const MOST_DESCRIPTORS = 128;
/** What 32 bits hold, so that no sum of them is more than a store can count. */
const MOST_HITS = 2 ** 32 - 1;
/** Behind its window's end, for processes whose clocks are late. */
const GRACE_MS = 60_000;

/**
 * Answers as `envoyproxy/ratelimit` does, with one difference: a request that is refused uses up no other limit.
 * Rejects with `invalid-argument`, or `unavailable` where the counts are out of reach.
 */
export async function answerRequest(request: RateLimitRequest, deps: AnswerDeps): Promise<RateLimitResponse> {
  if (request.domain === "") throw new TrysailError("invalid-argument", "a request must have a domain");
  if (request.descriptors.length > MOST_DESCRIPTORS) {
    throw new TrysailError("invalid-argument", `a request may have ${MOST_DESCRIPTORS} descriptors at most`);
  }
  const asked = request.descriptors.map((descriptor) => ask(descriptor, request, deps));
  const known = asked.filter((one) => one !== null);
  const { before, isAdded } =
    known.length === 0 ? { before: [], isAdded: true } : await deps.store.charge(known.map(({ charge }) => charge));
  const results = new Map(known.map((one, index) => [one, resultOf(one, before[index] ?? 0, isAdded)]));
  const statuses = asked.map((one) => {
    const result = one === null ? undefined : results.get(one);
    deps.counted(one?.limit.id ?? "", result?.outcome ?? "unknown");
    return one === null || result === undefined ? statusOfUnknown() : statusOf(one, result, deps.nowMs);
  });
  const refusing = known.find((one) => results.get(one)?.outcome === "over");
  return create(RateLimitResponseSchema, {
    overallCode: refusing === undefined ? RateLimitResponse_Code.OK : RateLimitResponse_Code.OVER_LIMIT,
    statuses,
    ...(refusing === undefined
      ? {}
      : {
          responseHeadersToAdd: [{ key: "retry-after", value: String(secondsLeft(refusing.window, deps.nowMs)) }],
          rawBody: new TextEncoder().encode(refusing.limit.body),
        }),
  });
}

interface Asked {
  readonly limit: CountedLimit;
  readonly window: LimitWindow;
  readonly charge: Charge;
}

function ask(descriptor: RateLimitDescriptor, request: RateLimitRequest, { table, nowMs }: AnswerDeps): Asked | null {
  const [first, ...values] = descriptor.entries;
  const limit = first?.key === "limit" ? table.get(request.domain)?.get(first.value) : undefined;
  if (limit === undefined) return null;
  const window = windowAt(limit.unit, nowMs);
  const hits = Number(descriptor.hitsAddend ?? BigInt(request.hitsAddend || 1));
  if (hits > MOST_HITS) throw new TrysailError("invalid-argument", `a request may have ${MOST_HITS} hits at most`);
  return {
    limit,
    window,
    charge: {
      key: keyOf(request.domain, limit, window, values),
      hits,
      limit: limit.isShadow ? null : limit.amount,
      ttlMs: window.endMs - nowMs + GRACE_MS,
    },
  };
}

/**
 * Callers choose some of the values, so they are not keys as they are: no value can be made that looks like two, or is
 * long. The counts of one object are kept together where Redis is spread over machines, as its braces say.
 */
function keyOf(domain: string, limit: CountedLimit, { startMs }: LimitWindow, values: RateLimitDescriptor["entries"]) {
  const text = JSON.stringify(values.map(({ key, value }) => [key, value]));
  const digest = createHash("sha256").update(text).digest("base64url").slice(0, 22);
  return `{${domain}}${limit.id.slice(domain.length)}:${limit.unit}:${startMs}:${digest}`;
}

interface Result {
  readonly outcome: Outcome;
  readonly count: number;
}

function resultOf({ limit, charge }: Asked, before: number, isAdded: boolean): Result {
  const isOver = before + charge.hits > limit.amount;
  const outcome = !isOver ? "within" : limit.isShadow ? "shadow-over" : "over";
  return { outcome, count: isAdded ? before + charge.hits : before };
}

function statusOf({ limit, window }: Asked, { outcome, count }: Result, nowMs: number) {
  return status({
    code: outcome === "over" ? RateLimitResponse_Code.OVER_LIMIT : RateLimitResponse_Code.OK,
    currentLimit: {
      name: limit.id,
      requestsPerUnit: limit.amount,
      unit: RateLimitResponse_RateLimit_Unit[limit.unit],
    },
    limitRemaining: Math.max(0, limit.amount - count),
    durationUntilReset: create(DurationSchema, { seconds: BigInt(secondsLeft(window, nowMs)) }),
  });
}

function statusOfUnknown(): RateLimitResponse_DescriptorStatus {
  return status({ code: RateLimitResponse_Code.OK });
}

function status(
  init: Parameters<typeof create<typeof RateLimitResponse_DescriptorStatusSchema>>[1],
): RateLimitResponse_DescriptorStatus {
  return create(RateLimitResponse_DescriptorStatusSchema, init);
}

function secondsLeft({ endMs }: LimitWindow, nowMs: number): number {
  return Math.ceil((endMs - nowMs) / 1000);
}
