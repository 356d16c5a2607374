import { create } from "@bufbuild/protobuf";
import { HeaderValueOption_HeaderAppendAction } from "../../gen/envoy/config/core/v3/base_pb.ts";
import { HeaderMutationSchema } from "../../gen/envoy/extensions/filters/http/header_mutation/v3/header_mutation_pb.ts";
import {
  Config_ValueType,
  ConfigSchema as HeaderToMetadataSchema,
} from "../../gen/envoy/extensions/filters/http/header_to_metadata/v3/header_to_metadata_pb.ts";
import {
  type HttpFilter,
  HttpFilterSchema,
} from "../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { ADDRESS_KEY } from "../endpoint/assignment.ts";
import { typedConfig } from "../typed-config.ts";

/** Only on its way from one filter to the next: whatever a caller sends under this name is replaced. */
const HEADER = "x-trysail-dialled";

/**
 * Tells the load balancer which address the application dialled. Clusters of headless services choose that endpoint by
 * it, or any of theirs where it is none; other clusters do not ask. Envoy has no filter that makes metadata of an
 * address, but one that makes a header of it and one that makes metadata of a header.
 */
export const dialledAddress: readonly HttpFilter[] = [
  create(HttpFilterSchema, {
    name: "envoy.filters.http.header_mutation",
    configType: {
      case: "typedConfig",
      value: typedConfig(HeaderMutationSchema, {
        mutations: {
          requestMutations: [
            {
              action: {
                case: "append",
                value: {
                  header: { key: HEADER, value: "%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%" },
                  appendAction: HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
                },
              },
            },
          ],
        },
      }),
    },
  }),
  create(HttpFilterSchema, {
    name: "envoy.filters.http.header_to_metadata",
    configType: {
      case: "typedConfig",
      value: typedConfig(HeaderToMetadataSchema, {
        requestRules: [
          {
            header: HEADER,
            onHeaderPresent: { metadataNamespace: "envoy.lb", key: ADDRESS_KEY, type: Config_ValueType.STRING },
            remove: true,
          },
        ],
      }),
    },
  }),
];
