import { create } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import {
  type Http1ProtocolOptions,
  Http1ProtocolOptions_HeaderKeyFormatSchema,
  Http1ProtocolOptionsSchema,
} from "../gen/envoy/config/core/v3/protocol_pb.ts";
import { PreserveCaseFormatterConfigSchema } from "../gen/envoy/extensions/http/header_formatters/preserve_case/v3/preserve_case_pb.ts";

/**
 * Changes `options` so that names of HTTP/1.1 headers go on as they came; it takes both the connection they come on and
 * the one they leave on.
 */
export function keepHeaderCase(
  options: Http1ProtocolOptions = create(Http1ProtocolOptionsSchema),
): Http1ProtocolOptions {
  const typedConfig = anyPack(PreserveCaseFormatterConfigSchema, create(PreserveCaseFormatterConfigSchema));
  options.headerKeyFormat = create(Http1ProtocolOptions_HeaderKeyFormatSchema, {
    headerFormat: { case: "statefulFormatter", value: { name: "preserve_case", typedConfig } },
  });
  return options;
}
