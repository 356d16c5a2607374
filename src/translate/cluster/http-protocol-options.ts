import type { Any } from "@bufbuild/protobuf/wkt";
import { HttpProtocolOptionsSchema } from "../../gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts";
import type { Protocol } from "../../mesh/mesh-service.ts";
import { typedConfig } from "../typed-config.ts";

const NAME = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/** HTTP/2 to ports that declare it, HTTP/1.1 to other HTTP ports. */
export function httpProtocolOptions(protocol: Protocol): Record<string, Any> {
  return {
    [NAME]: typedConfig(HttpProtocolOptionsSchema, {
      upstreamProtocolOptions: {
        case: "explicitHttpConfig",
        value: {
          protocolConfig:
            protocol === "http2"
              ? { case: "http2ProtocolOptions", value: {} }
              : { case: "httpProtocolOptions", value: {} },
        },
      },
    }),
  };
}

/** To the application as the caller spoke to the sidecar. */
export const sameAsDownstream: Readonly<Record<string, Any>> = {
  [NAME]: typedConfig(HttpProtocolOptionsSchema, {
    upstreamProtocolOptions: {
      case: "useDownstreamProtocolConfig",
      value: { httpProtocolOptions: {}, http2ProtocolOptions: {} },
    },
  }),
};
