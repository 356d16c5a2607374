import { create } from "@bufbuild/protobuf";
import { HeaderValueOption_HeaderAppendAction } from "../../gen/envoy/config/core/v3/base_pb.ts";
import { LocalReplyConfigSchema } from "../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { UNREACHED_HEADER } from "../names.ts";

/**
 * Marks the answer of a sidecar whose application takes no connections, as while it ends, so that the caller's sidecar
 * may ask another pod: unlike a 503 of the application's, it says for certain that the request did nothing.
 */
export const unreachedReplies = create(LocalReplyConfigSchema, {
  mappers: [
    {
      filter: { filterSpecifier: { case: "responseFlagFilter", value: { flags: ["UF"] } } },
      headersToAdd: [
        {
          header: { key: UNREACHED_HEADER, value: "true" },
          appendAction: HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
        },
      ],
    },
  ],
});
