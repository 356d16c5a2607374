import ipaddr from "ipaddr.js";
import { networkOf } from "../cidr.ts";
import type { TcpChain } from "./tcp-chain.ts";

/** Names times blocks of one service: no object may ask for a listener of megabytes, or seconds of work. */
const MOST_PAIRS = 1000;

/**
 * Envoy looks for the narrowest block around the dialled address first, and then only among the chains of this very block.
 * So of one service every chain that covers a narrower block of another one is given that block as well: what is dialled
 * there goes by the route that says the most of it, as in Istio, and among equals by the first.
 */
export function withNarrowerRanges(chains: readonly TcpChain[]): readonly TcpChain[] {
  if (chains.every(({ ranges }) => ranges.length === 0)) return chains;
  const byService = Map.groupBy(chains, ({ service }) => service.hostname);
  return [...byService.values()].flatMap(widened);
}

function widened(chains: readonly TcpChain[]): readonly TcpChain[] {
  const blocks = [...new Set(chains.flatMap(blocksOf))];
  const names = [...new Set(chains.flatMap(namesOf))];
  if (blocks.length === 0 || chains.length === 1 || blocks.length * names.length > MOST_PAIRS) return chains;
  const plans: readonly Plan[] = chains.map((chain) => ({
    chain,
    parsed: blocksOf(chain).map((block) => ipaddr.parseCIDR(block)),
    given: new Map(),
  }));
  for (const name of names) {
    const named = plans.filter(({ chain }) => namesOf(chain).includes(name));
    for (const block of blocks) {
      const given = planOf(ipaddr.parseCIDR(block), named)?.given;
      given?.set(block, [...(given.get(block) ?? []), name]);
    }
  }
  return plans.flatMap(({ chain, given }) => {
    const below = Map.groupBy(given, ([, own]) => own.join());
    const inBlocks = [...below.values()].map((pairs) => ({
      ...chain,
      serverNames: (pairs[0]?.[1] ?? []).filter((name) => name !== ""),
      ranges: pairs.map(([block]) => block),
    }));
    return chain.ranges.length === 0 ? [chain, ...inBlocks] : inBlocks;
  });
}

type Block = readonly [ipaddr.IPv4 | ipaddr.IPv6, number];

interface Plan {
  readonly chain: TcpChain;
  readonly parsed: readonly Block[];
  /** The names that it has in each block. */
  readonly given: Map<string, string[]>;
}

/** Who has what is dialled within a block: the chain that says the most of it. */
function planOf(block: Block, plans: readonly Plan[]): Plan | undefined {
  let best: { readonly plan: Plan; readonly bits: number } | undefined;
  for (const plan of plans) {
    const bits = coverage(plan, block);
    if (bits !== null && bits > (best?.bits ?? -2)) best = { plan, bits };
  }
  return best?.plan;
}

/** In their plainest form. */
function blocksOf({ ranges }: TcpChain): readonly string[] {
  return ranges.map(networkOf).filter((block) => ipaddr.isValidCIDR(block));
}

/** The empty name stands for any, also without TLS. */
function namesOf({ serverNames }: TcpChain): readonly string[] {
  return serverNames.length === 0 ? [""] : serverNames;
}

/** How long the prefix is by which a chain covers a block; -1 where it asks for no address, null where it does not. */
function coverage({ chain, parsed }: Plan, [address, length]: Block): number | null {
  if (chain.ranges.length === 0) return -1;
  let longest: number | null = null;
  for (const [network, bits] of parsed) {
    if (network.kind() !== address.kind() || bits > length || bits <= (longest ?? -1)) continue;
    if (address.match(network, bits)) longest = bits;
  }
  return longest;
}
