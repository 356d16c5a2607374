import type { AddressJson } from "../gen/envoy/config/core/v3/address_pb.ts";

export function socketAddress(address: string, port: number): AddressJson {
  // Where IPv6 is asked for, one socket serves both families.
  return { socketAddress: { address, portValue: port, ...(address === "::" ? { ipv4Compat: true } : {}) } };
}
