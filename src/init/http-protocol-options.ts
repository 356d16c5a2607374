import type {
  HttpProtocolOptionsJson,
  HttpProtocolOptionsSchema,
} from "../gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts";
import { packed } from "./packed.ts";

/** A cluster's options of HTTP, under the name by which Envoy knows them. */
export function httpProtocolOptions(options: HttpProtocolOptionsJson) {
  const name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
  return { [name]: packed<typeof HttpProtocolOptionsSchema>(name, options) };
}
