import { create } from "@bufbuild/protobuf";
import { type Address, AddressSchema } from "../gen/envoy/config/core/v3/address_pb.ts";

export function socketAddress(address: string, port: number): Address {
  return create(AddressSchema, {
    address: {
      case: "socketAddress",
      // Where IPv6 is asked for, one socket serves both families.
      value: { address, portSpecifier: { case: "portValue", value: port }, ipv4Compat: address === "::" },
    },
  });
}
