import type { ProxyNode } from "./node.ts";
import { TYPE_URL } from "./resource-set.ts";
import type { Protocol } from "./response-encoder.ts";
import type { TypeState } from "./type-state.ts";

/** How far one connected proxy follows, for /debug/syncz. */
export interface ProxyStatus {
  readonly nodeId: string;
  readonly namespace: string;
  readonly protocol: Protocol;
  /** Milliseconds since the Unix epoch. */
  readonly connectedSinceMs: number;
  /** Whether it was sent, and has answered, everything that there is for it. */
  readonly inSync: boolean;
  /** By the short names of types (`cluster`, `endpoint`, …); those that the proxy has asked for. */
  readonly types: Readonly<Record<string, TypeStatus>>;
}

export interface TypeStatus {
  readonly sentVersion: string;
  readonly ackedVersion: string;
  /** Why the proxy rejected its last response; absent where it accepted it. */
  readonly rejection?: string;
}

export function proxyStatus(
  proxy: ProxyNode,
  stream: {
    readonly protocol: Protocol;
    readonly connectedSinceMs: number;
    readonly inSync: boolean;
    readonly types: readonly TypeState[];
  },
): ProxyStatus {
  const { protocol, connectedSinceMs, inSync } = stream;
  const types = Object.fromEntries(
    stream.types.filter((type) => type.started).map((type) => [shortTypeName(type.typeUrl), typeStatus(type)]),
  );
  return { nodeId: proxy.id, namespace: proxy.namespace, protocol, connectedSinceMs, inSync, types };
}

/** `cluster` for `type.googleapis.com/envoy.config.cluster.v3.Cluster`, and so on. */
export function shortTypeName(typeUrl: string): string {
  return Object.entries(TYPE_URL).find(([, url]) => url === typeUrl)?.[0] ?? typeUrl;
}

function typeStatus({ sentVersion, ackedVersion, rejection }: TypeState): TypeStatus {
  return { sentVersion, ackedVersion, ...(rejection !== null && { rejection }) };
}
