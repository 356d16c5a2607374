/** How Envoy reaches the app beside it, past the interception rules. */
export interface AppAddress {
  /** The pod's own, as the kubelet would: an app that listens on loopback alone is not reached. */
  readonly address: string;
  /**
   * What the rules know such connections by; others of Envoy to its own pod come back in through the inbound listener.
   * Left out where nothing is intercepted.
   */
  readonly source?: string;
}

/** By address family. Of IPv6's loopback addresses only one exists by itself: `trysail init` adds this one. */
export const DELIVERY_SOURCE = { ipv4: "127.0.0.6", ipv6: "::6" } as const;

export function appAddress(podIp: string, isIntercepted: boolean): AppAddress {
  const source = podIp.includes(":") ? DELIVERY_SOURCE.ipv6 : DELIVERY_SOURCE.ipv4;
  return isIntercepted ? { address: podIp, source } : { address: podIp };
}

export function hostAndPort(ip: string, port: number): string {
  return ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
}
