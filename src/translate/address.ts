import { create } from "@bufbuild/protobuf";
import { type Address, AddressSchema } from "../gen/envoy/config/core/v3/address_pb.ts";

/** A TCP socket address. */
export function address(ip: string, port: number): Address {
  return create(AddressSchema, {
    address: {
      case: "socketAddress",
      value: { address: ip, portSpecifier: { case: "portValue", value: port } },
    },
  });
}
