import { networkOf } from "../cidr.ts";
import type { TcpChain } from "./tcp-chain.ts";

/**
 * The part of a chain that nobody has yet, since Envoy refuses a listener of which two chains match the same: names and
 * ranges are claimed in pairs. Null where nothing is left.
 */
export function unclaimed(chain: TcpChain, claimed: Set<string>): TcpChain | null {
  const ranges = chain.ranges.length === 0 ? [""] : chain.ranges.map(networkOf);
  const isFree = (name: string) => ranges.every((range) => !claimed.has(`${name} ${range}`));
  const names = chain.serverNames.length === 0 ? [""] : chain.serverNames;
  const free = [...new Set(names)].filter(isFree);
  if (free.length === 0) return null;
  for (const name of free) for (const range of ranges) claimed.add(`${name} ${range}`);
  return free.length === names.length ? chain : { ...chain, serverNames: free };
}
