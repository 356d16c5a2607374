import type { MessageInitShape } from "@bufbuild/protobuf";
import type { TokenBucketSchema } from "../../gen/envoy/type/v3/token_bucket_pb.ts";
import type { Rate } from "../../mesh/trysail/rate-limit.ts";
import { durationOfMs } from "../typed-config.ts";

/** A month is refused here: docs/rate-limits.md. */
const UNIT_MS: Readonly<Record<Rate["unit"], number>> = {
  SECOND: 1000,
  MINUTE: 60_000,
  HOUR: 3_600_000,
  DAY: 86_400_000,
  MONTH: 30 * 86_400_000,
};

export function tokenBucket({ amount, unit, burst = amount }: Rate): MessageInitShape<typeof TokenBucketSchema> {
  return { maxTokens: burst, tokensPerFill: amount, fillInterval: durationOfMs(UNIT_MS[unit]) };
}
