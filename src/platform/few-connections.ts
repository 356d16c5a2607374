import type { Server, Socket } from "node:net";
import { FairPlaces } from "./fair-places.ts";

/** Scrapers, probes and an operator have a handful. */
const PLACES = 200;

/**
 * Bounds the connections of a port that few have to do with, and that asks nobody who he is. Where there are too many, the
 * address that has the most gives way, so that a stranger's never keep a probe out.
 */
export function allowFewConnections(server: Server, places = PLACES): void {
  const all = new FairPlaces<Socket>({ places, onTaken: (socket) => socket.destroy() });
  server.on("connection", (socket: Socket) => {
    const { remoteAddress } = socket;
    // Gone before it was looked at.
    if (remoteAddress === undefined) return;
    socket.once("close", () => all.remove(remoteAddress, socket));
    all.add(remoteAddress, socket);
  });
}
