import { create } from "@bufbuild/protobuf";
import { GrpcWebSchema } from "../../gen/envoy/extensions/filters/http/grpc_web/v3/grpc_web_pb.ts";
import { HttpFilterSchema } from "../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { typedConfig } from "../typed-config.ts";

/** Makes gRPC of gRPC-Web (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md), and leaves other requests alone. */
export const grpcWeb = create(HttpFilterSchema, {
  name: "envoy.filters.http.grpc_web",
  configType: { case: "typedConfig", value: typedConfig(GrpcWebSchema, {}) },
});
