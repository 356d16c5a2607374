import type { Socket } from "node:net";
import type { Server as TlsServer } from "node:tls";
import { type Clock, systemClock } from "./clock.ts";
import { FairPlaces } from "./fair-places.ts";
import { Strangers } from "./strangers.ts";

/** What whoever reaches a port may take of it. */
export interface ConnectionLimits {
  /** Connections at one time. */
  readonly total: number;
  /** Of these, from one address. Whole meshes may be behind one, where it is that of a gateway which translates. */
  readonly perAddress: number;
  /** Of these, of callers that are not known, from their first packet on. */
  readonly strangers: number;
  /** For a connection, from its handshake until its caller is known. */
  readonly strangerMs: number;
  /** What all callers may have sent of what is not there in whole. */
  readonly unreadBytes: number;
}

export const DEFAULT_CONNECTION_LIMITS: ConnectionLimits = {
  total: 10_000,
  perAddress: 5_000,
  strangers: 2_000,
  strangerMs: 30_000,
  unreadBytes: 64 * 1024 * 1024,
};

/** Why a connection was closed, or not taken at all. */
export type ConnectionRefusal =
  | "too-many"
  | "too-many-of-address"
  | "too-many-unknown"
  | "silent"
  | "unread"
  | "malformed";

export interface ConnectionGuardOptions {
  /** Those not given are `DEFAULT_CONNECTION_LIMITS`. */
  readonly limits?: Partial<ConnectionLimits>;
  /** That of the system unless given. */
  readonly clock?: Clock;
  onRefused?(reason: ConnectionRefusal, address: string | undefined): void;
}

export interface ConnectionGuard {
  readonly limits: ConnectionLimits;
  /** The connections whose callers have a time to come to the point. */
  readonly strangers: Strangers;
  /** The server ends: so do the connections that nothing is under way on, and those that still come. */
  stop(): void;
  /** Whose connection it is has been proven. */
  callerKnown(socket: Socket): void;
  /** Closes it, and says why. */
  refuse(socket: Socket, reason: ConnectionRefusal): void;
}

/**
 * Bounds the connections of a server, and what they hold before their callers are known. Every connection is a stranger's
 * until the server says otherwise. Where there are too many, the address that has the most gives way.
 */
export function guardConnections(server: TlsServer, options: ConnectionGuardOptions): ConnectionGuard {
  const limits = { ...DEFAULT_CONNECTION_LIMITS, ...options.limits };
  const refuse: ConnectionGuard["refuse"] = (socket, reason) => {
    options.onRefused?.(reason, socket.remoteAddress);
    socket.destroy();
  };
  const strangers = new Strangers({ clock: options.clock ?? systemClock, maxBytes: limits.unreadBytes, close: refuse });
  const all = new FairPlaces<Socket>({
    places: limits.total,
    onTaken: (socket) => refuse(socket, "too-many"),
  });
  const unknown = new FairPlaces<Socket>({
    places: limits.strangers,
    onTaken: (socket) => refuse(socket, "too-many-unknown"),
  });
  const ofAddress = new Map<string, Map<number, Socket>>();
  /** Those in the middle of their handshake, of which the server would not tell before its end. */
  const beginning = new Set<Socket>();
  let isStopped = false;
  server.on("connection", (socket: Socket) => {
    if (isStopped) return void socket.destroy();
    const { remoteAddress, remotePort } = socket;
    // Gone before it was looked at.
    if (remoteAddress === undefined || remotePort === undefined) return;
    const connected = ofAddress.get(remoteAddress) ?? new Map<number, Socket>();
    ofAddress.set(remoteAddress, connected.set(remotePort, socket));
    beginning.add(socket);
    socket.once("close", () => {
      beginning.delete(socket);
      all.remove(remoteAddress, socket);
      unknown.remove(remoteAddress, socket);
      connected.delete(remotePort);
      if (connected.size === 0) ofAddress.delete(remoteAddress);
    });
    if (connected.size > limits.perAddress) return refuse(socket, "too-many-of-address");
    all.add(remoteAddress, socket);
    if (!socket.destroyed) unknown.add(remoteAddress, socket);
  });
  /** The connection itself, below its TLS. */
  const below = ({ remoteAddress = "", remotePort = 0 }: Socket) => ofAddress.get(remoteAddress)?.get(remotePort);
  server.on("secureConnection", (socket) => {
    const connection = below(socket);
    if (connection !== undefined) beginning.delete(connection);
    strangers.add(socket, limits.strangerMs);
    socket.once("close", () => strangers.remove(socket));
  });
  return {
    limits,
    strangers,
    callerKnown(socket) {
      strangers.remove(socket);
      // Places are those of the connections themselves.
      const connection = below(socket);
      if (connection !== undefined) unknown.remove(socket.remoteAddress ?? "", connection);
    },
    refuse,
    stop() {
      isStopped = true;
      for (const socket of beginning) socket.destroy();
      strangers.stop();
    },
  };
}
