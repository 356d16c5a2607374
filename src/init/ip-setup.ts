import type { AddressFamily } from "./address-family.ts";
import { DELIVERY_SOURCE } from "./app-address.ts";
import { TPROXY_MARK } from "./interception.ts";
import type { PodInterception } from "./pod-interception.ts";

/** A routing table that takes everything for the pod's own, so that it reaches sockets bound to others' addresses. */
const TPROXY_TABLE = 133;

/** Arguments of `ip`, which may be repeated; with `mayFail` where there is nothing to undo. */
export interface IpCommand {
  readonly args: readonly string[];
  readonly mayFail: boolean;
}

/** What the rules need beside themselves: an address on loopback, and routes for what has TPROXY's mark. */
export function ipSetup(settings: PodInterception, family: AddressFamily): readonly IpCommand[] {
  const marked = `fwmark ${TPROXY_MARK} lookup ${TPROXY_TABLE}`;
  return [
    ...(family === "ipv6" ? [must(family, `addr replace ${DELIVERY_SOURCE.ipv6}/128 dev lo`)] : []),
    ...(settings.mode === "TPROXY"
      ? [
          // Added twice, a rule is there twice.
          may(family, `rule del ${marked}`),
          must(family, `rule add ${marked}`),
          must(family, `route replace local default dev lo table ${TPROXY_TABLE}`),
        ]
      : []),
  ];
}

export function ipRemoval(family: AddressFamily): readonly IpCommand[] {
  return [
    ...(family === "ipv6" ? [may(family, `addr del ${DELIVERY_SOURCE.ipv6}/128 dev lo`)] : []),
    may(family, `rule del fwmark ${TPROXY_MARK} lookup ${TPROXY_TABLE}`),
    may(family, `route flush table ${TPROXY_TABLE}`),
  ];
}

function must(family: AddressFamily, words: string): IpCommand {
  return { args: [family === "ipv6" ? "-6" : "-4", ...words.split(" ")], mayFail: false };
}

function may(family: AddressFamily, words: string): IpCommand {
  return { ...must(family, words), mayFail: true };
}
