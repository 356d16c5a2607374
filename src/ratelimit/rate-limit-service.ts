import { toBinary } from "@bufbuild/protobuf";
import type { Server, ServerUnaryCall, ServiceDefinition, sendUnaryData } from "@grpc/grpc-js";
import { RateLimitResponse_Code, RateLimitResponseSchema } from "../gen/envoy/service/ratelimit/v3/rls_pb.ts";
import type { Clock } from "../platform/clock.ts";
import { TrysailError } from "../platform/errors.ts";
import { unaryOfBytes } from "../platform/grpc-methods.ts";
import { grpcStatusOf } from "../platform/grpc-status.ts";
import { type AnswerDeps, answerRequest } from "./answer-request.ts";
import type { LimitTable } from "./limit-table.ts";
import { parseRateLimitRequest } from "./parse-request.ts";

export interface RateLimitServiceDeps extends Pick<AnswerDeps, "store" | "counted"> {
  table(): LimitTable;
  readonly clock: Pick<Clock, "now">;
  /** An answer, or why there was none, and how long it took. */
  answered(result: "ok" | "over-limit" | TrysailError["code"], durationMs: number): void;
}

type Call = ServerUnaryCall<Buffer, Buffer>;

/** Adds what Envoy's rate limit filters ask. */
export function addRateLimitService(server: Pick<Server, "addService">, deps: RateLimitServiceDeps): void {
  server.addService(RATE_LIMIT_SERVICE, {
    shouldRateLimit(call: Call, callback: sendUnaryData<Buffer>) {
      const began = performance.now();
      answer(call.request, deps).then(
        ({ bytes, result }) => {
          deps.answered(result, performance.now() - began);
          callback(null, bytes);
        },
        (error: unknown) => {
          const code = error instanceof TrysailError ? error.code : "internal";
          deps.answered(code, performance.now() - began);
          callback(grpcStatusOf(error));
        },
      );
    },
  });
}

async function answer(bytes: Buffer, { table, clock, store, counted }: RateLimitServiceDeps) {
  const response = await answerRequest(parseRateLimitRequest(bytes), {
    table: table(),
    store,
    counted,
    nowMs: clock.now(),
  });
  const isOver = response.overallCode === RateLimitResponse_Code.OVER_LIMIT;
  return {
    bytes: Buffer.from(toBinary(RateLimitResponseSchema, response)),
    result: isOver ? ("over-limit" as const) : ("ok" as const),
  };
}

const RATE_LIMIT_SERVICE: ServiceDefinition = {
  shouldRateLimit: unaryOfBytes("/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"),
};
