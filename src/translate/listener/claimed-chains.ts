import { networkOf } from "../cidr.ts";
import type { TcpChain } from "./tcp-chain.ts";

/** Under which a chain claims a host: `*` is any name and none, which is the empty text. */
export function nameOf(host: string): string {
  return host === "*" ? "" : host;
}

/** What a chain claims for a name among the callers of a range; the empty text is every address. */
export function claimOf(name: string, range = ""): string {
  return `${name} ${range}`;
}

/**
 * The part of a chain that nobody has yet, since Envoy refuses a listener of which two chains match the same: names and
 * ranges are claimed in pairs. Null where nothing is left.
 */
export function unclaimed(chain: TcpChain, claimed: Set<string>): TcpChain | null {
  const ranges = chain.ranges.length === 0 ? [""] : chain.ranges.map(networkOf);
  const isFree = (name: string) => ranges.every((range) => !claimed.has(claimOf(name, range)));
  const names = chain.serverNames.length === 0 ? [""] : chain.serverNames;
  const free = [...new Set(names)].filter(isFree);
  if (free.length === 0) return null;
  for (const name of free) for (const range of ranges) claimed.add(claimOf(name, range));
  return free.length === names.length ? chain : { ...chain, serverNames: free };
}
