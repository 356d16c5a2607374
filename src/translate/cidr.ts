import ipaddr from "ipaddr.js";

/** A CIDR block in its plainest form, `10.0.0.0/8` for `10.1.2.3/8`; an address is a block of one. */
export function networkOf(text: string): string {
  const [ip = "", bits] = text.split("/");
  if (!ipaddr.isValid(ip)) return text;
  const parsed = ipaddr.parse(ip);
  const length = bits === undefined ? (parsed.kind() === "ipv4" ? 32 : 128) : Number(bits);
  const block = `${parsed.toString()}/${length}`;
  const network =
    parsed.kind() === "ipv4" ? ipaddr.IPv4.networkAddressFromCIDR(block) : ipaddr.IPv6.networkAddressFromCIDR(block);
  return `${network.toString()}/${length}`;
}
