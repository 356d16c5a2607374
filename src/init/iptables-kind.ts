import { TrysailError } from "../platform/errors.ts";
import type { AddressFamily } from "./address-family.ts";
import { type RunTool, TOOL_MISSING } from "./network-tool.ts";
import { buildRemoval, type Rules } from "./rules-transaction.ts";

/** One of the two implementations of iptables. They do not see each other's rules, and the kernel obeys both. */
export interface Iptables {
  readonly kind: "nft" | "legacy" | "default";
  /** Of `iptables-restore`. */
  readonly restore: string;
  /** Takes away rules of ours that are there now. */
  readonly removal: Rules;
  readonly hasOurs: boolean;
  /** Any rules, of whomever. */
  readonly isInUse: boolean;
}

/** All implementations that work here, the one to use first. */
export async function findIptables(
  run: RunTool,
  family: AddressFamily,
  wanted: "auto" | "nft" | "legacy",
): Promise<readonly [Iptables, ...Iptables[]]> {
  const prefix = family === "ipv6" ? "ip6tables" : "iptables";
  const look = async (kind: Iptables["kind"]): Promise<Iptables | TrysailError> => {
    const name = kind === "default" ? prefix : `${prefix}-${kind}`;
    try {
      const saved = await run(`${name}-save`, []);
      const removal = buildRemoval(saved);
      const hasOurs = Object.values(removal).some((lines) => lines.length > 0);
      return { kind, restore: `${name}-restore`, removal, hasOurs, isInUse: /^-A /m.test(saved) };
    } catch (error) {
      if (error instanceof TrysailError) return error;
      throw error;
    }
  };
  const looked = await Promise.all([look("nft"), look("legacy")]);
  // Some systems have but one, under the plain name.
  if (looked.every((one) => one instanceof TrysailError && one.code === TOOL_MISSING))
    looked.push(await look("default"));
  const found = looked.filter((one): one is Iptables => !(one instanceof TrysailError));
  const chosen = wanted === "auto" ? pick(found) : found.find(({ kind }) => kind === wanted);
  if (chosen === undefined) throw explain(prefix, looked, wanted);
  return [chosen, ...found.filter((other) => other !== chosen)];
}

/** Where our rules are already; else where the pod's others are, which must be seen together to make sense; else nft. */
function pick(found: readonly Iptables[]): Iptables | undefined {
  return found.find(({ hasOurs }) => hasOurs) ?? found.find(({ isInUse }) => isInUse) ?? found[0];
}

function explain(prefix: string, looked: readonly (Iptables | TrysailError)[], wanted: string): TrysailError {
  const refused = looked.find((one) => one instanceof TrysailError && one.code !== TOOL_MISSING);
  if (refused instanceof TrysailError) return refused;
  const name = wanted === "auto" ? prefix : `${prefix}-${wanted}`;
  const message = `${name}-save was not found; the init image must have the package iptables`;
  return new TrysailError("failed-precondition", message);
}
