import type { WorkloadIdentity } from "../ca/identity.ts";
import type { ProxyNode } from "./node.ts";
import type { ProxyResources, TypeUrl } from "./resource-set.ts";

/** Where the streams get what they serve. The xDS server knows no more of the mesh than this. */
export interface ConfigSource {
  /**
   * Called once a stream, behind authentication. `identity` is null on the plaintext port only. `onChange` is
   * called, at most once for each read of `current()`, whenever `current()` would answer anew.
   */
  open(proxy: ProxyNode, identity: WorkloadIdentity | null, onChange: () => void): ConfigHandle;
}

export interface ConfigHandle {
  /** Cheap when nothing changed: equal inputs give the same sets by identity. Never throws. */
  current(): ProxyResources;
  close(): void;
}

/** What a proxy answered; the control plane turns a rejection into a Finding on the object it names. */
export interface AckObserver {
  acked(proxy: ProxyNode, typeUrl: TypeUrl, version: string): void;
  rejected(proxy: ProxyNode, typeUrl: TypeUrl, version: string, message: string): void;
  /** Its stream has ended; what it rejected is no longer what anyone is served. */
  disconnected(proxy: ProxyNode): void;
}
