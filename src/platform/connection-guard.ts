import type { Socket } from "node:net";
import type { Server as TlsServer } from "node:tls";
import { systemClock } from "./clock.ts";
import { Strangers } from "./strangers.ts";

/** What whoever reaches a port may take of it. */
export interface ConnectionLimits {
  /** Connections at one time. */
  readonly total: number;
  /** Of these, from one address. Whole meshes may be behind one, where it is that of a gateway which translates. */
  readonly perAddress: number;
  /** For a connection, from its handshake until its caller is known. */
  readonly strangerMs: number;
  /** What the callers that are not known may have sent, all together. */
  readonly strangerBytes: number;
}

export const DEFAULT_CONNECTION_LIMITS: ConnectionLimits = {
  total: 10_000,
  perAddress: 5_000,
  strangerMs: 30_000,
  strangerBytes: 64 * 1024 * 1024,
};

/** Why a connection was closed, or not taken at all. */
export type ConnectionRefusal = "too-many" | "too-many-of-address" | "silent" | "unread";

export interface ConnectionGuardOptions {
  /** Those not given are `DEFAULT_CONNECTION_LIMITS`. */
  readonly limits?: Partial<ConnectionLimits>;
  onRefused?(reason: ConnectionRefusal, address: string | undefined): void;
}

/**
 * Bounds the connections of a server, and what they hold before their callers are known. Every connection is a stranger's
 * behind its handshake; the server says when that changes.
 */
export function guardConnections(server: TlsServer, options: ConnectionGuardOptions): Strangers {
  const limits = { ...DEFAULT_CONNECTION_LIMITS, ...options.limits };
  const refused = (reason: ConnectionRefusal, address: string | undefined) => options.onRefused?.(reason, address);
  const strangers = new Strangers({
    clock: systemClock,
    maxBytes: limits.strangerBytes,
    onClose: (socket, reason) => refused(reason, socket.remoteAddress),
  });
  server.maxConnections = limits.total;
  server.on("drop", (dropped) => refused("too-many", dropped?.remoteAddress));
  const ofAddress = new Map<string, number>();
  server.on("connection", (socket: Socket) => {
    const { remoteAddress } = socket;
    // Gone before it was looked at.
    if (remoteAddress === undefined) return;
    const connected = (ofAddress.get(remoteAddress) ?? 0) + 1;
    ofAddress.set(remoteAddress, connected);
    socket.once("close", () => {
      const left = (ofAddress.get(remoteAddress) ?? 1) - 1;
      if (left === 0) ofAddress.delete(remoteAddress);
      else ofAddress.set(remoteAddress, left);
    });
    if (connected <= limits.perAddress) return;
    refused("too-many-of-address", remoteAddress);
    socket.destroy();
  });
  server.on("secureConnection", (socket) => {
    strangers.add(socket, limits.strangerMs);
    socket.once("close", () => strangers.remove(socket));
  });
  return strangers;
}
