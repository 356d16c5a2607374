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

/** Where an endpoint is: at an IP address or a host name, or at a socket, `unix:///path`, which has no port. */
export function endpointAddress(text: string, port: number): Address {
  if (!text.startsWith(SOCKET)) return address(text, port);
  return create(AddressSchema, { address: { case: "pipe", value: { path: text.slice(SOCKET.length) } } });
}

const SOCKET = "unix://";
