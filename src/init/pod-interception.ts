import { type InterceptionSettings, interceptEverything, PROXY_ID, PROXY_PORT } from "../injection/pod-contract.ts";
import { TrysailError } from "../platform/errors.ts";

/** How a pod's connections come to pass through Envoy. */
export interface PodInterception extends InterceptionSettings {
  /** TPROXY keeps the caller's address on inbound connections; outbound ones are redirected either way. */
  readonly mode: "REDIRECT" | "TPROXY";
  /** Owners of Envoy's sockets, whose connections are never redirected. */
  readonly proxyUids: readonly number[];
  readonly proxyGids: readonly number[];
  /** Network interfaces whose traffic is left alone. */
  readonly excludeInterfaces: readonly string[];
  /** Interfaces of machines inside the pod: what comes in there is on its way out, and outbound to Envoy. */
  readonly rerouteInterfaces: readonly string[];
  /** Of metrics and health, which Envoy answers there itself. */
  readonly statusPort: number;
  /** Whether DNS queries go to Envoy too. */
  readonly redirectDns: boolean;
}

export const redirectEverything: PodInterception = {
  ...interceptEverything,
  mode: "REDIRECT",
  proxyUids: [PROXY_ID],
  proxyGids: [PROXY_ID],
  excludeInterfaces: [],
  rerouteInterfaces: [],
  statusPort: PROXY_PORT.mergedMetrics,
  redirectDns: false,
};

/** @throws TrysailError `invalid-argument` naming `source`. */
export function parseInterfaces(text: string, source: string): readonly string[] {
  return items(text).map((name) => {
    // The kernel's limit; a plus at the end stands for any rest, as iptables has it.
    if (/^[\w.:@][\w.:@-]*\+?$/.test(name) && name.length <= 15) return name;
    throw new TrysailError("invalid-argument", `${source}: ${JSON.stringify(name.slice(0, 60))} is not an interface`);
  });
}

/** @throws TrysailError `invalid-argument` naming `source`. */
export function parseIds(text: string, source: string): readonly number[] {
  return items(text).map((item) => {
    const id = /^[0-9]{1,10}$/.test(item) ? Number(item) : Number.NaN;
    if (id <= 0xffff_fffe) return id;
    throw new TrysailError(
      "invalid-argument",
      `${source}: ${JSON.stringify(item.slice(0, 60))} is not a user's number`,
    );
  });
}

function items(text: string): string[] {
  return text.trim() === "" ? [] : text.split(",").map((item) => item.trim());
}
