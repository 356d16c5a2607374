import type { ProxyNode } from "../xds/node.ts";

/** How connections reach a proxy, as `trysail init` set it up and wrote it into the proxy's node metadata. */
export interface Interception {
  /** TPROXY: the listener accepts connections to the app's own address, and the app is to see the caller's. */
  readonly isTransparent: boolean;
  /** The pod has an IPv6 address, whose connections are intercepted as well. */
  readonly hasIpv6: boolean;
}

type Described = Pick<ProxyNode, "ipAddress"> & Partial<Pick<ProxyNode, "metadata">>;

/** One of four objects, so that it can be part of a builder's input. */
export function readInterception({ ipAddress, metadata = {} }: Described): Interception {
  const addresses = typeof metadata.INSTANCE_IPS === "string" ? metadata.INSTANCE_IPS : ipAddress;
  const isTransparent = metadata.INTERCEPTION_MODE === "TPROXY";
  const hasIpv6 = addresses.includes(":");
  return isTransparent ? (hasIpv6 ? tproxyDual : tproxy) : hasIpv6 ? redirectDual : redirect;
}

const redirect: Interception = Object.freeze({ isTransparent: false, hasIpv6: false });
const redirectDual: Interception = Object.freeze({ isTransparent: false, hasIpv6: true });
const tproxy: Interception = Object.freeze({ isTransparent: true, hasIpv6: false });
const tproxyDual: Interception = Object.freeze({ isTransparent: true, hasIpv6: true });
