import { create } from "@bufbuild/protobuf";
import {
  type FractionalPercent,
  FractionalPercent_DenominatorType,
  FractionalPercentSchema,
} from "../../gen/envoy/type/v3/percent_pb.ts";

/** A share of requests, 0 to 100, to the ten-thousandth that Envoy can tell. */
export function fraction(percent: number): FractionalPercent {
  return create(FractionalPercentSchema, {
    numerator: Math.round(percent * 10_000),
    denominator: FractionalPercent_DenominatorType.MILLION,
  });
}
