import type { Socket } from "node:net";
import type { Clock } from "./clock.ts";

export interface StrangersDeps {
  readonly clock: Clock;
  /** What all strangers together may have sent. */
  readonly maxBytes: number;
  /** Closes a connection: its time was over, or it had sent the most when all together had sent too much. */
  close(socket: Socket, reason: "silent" | "unread"): void;
}

interface Stranger {
  /** What it had sent when it became one. */
  readonly bytesBefore: number;
  readonly untilMs: number;
}

/**
 * Connections whose callers have not said, or not proven, who they are. What they send is kept until it is whole, and
 * nobody can be asked about it before, so that they get a time to come to the point, and all of them together a bound to
 * what they may have sent. Beyond it the connection that has sent the most is closed first, which is that of a caller who
 * fills memory and not that of one who waits for an answer to a few kilobytes.
 */
export class Strangers {
  readonly #deps: StrangersDeps;
  readonly #all = new Map<Socket, Stranger>();
  #cancelLook: (() => void) | null = null;

  constructor(deps: StrangersDeps) {
    this.#deps = deps;
  }

  /** The caller of this connection is not known from now on, and has so long to change that: infinitely, if need be. */
  add(socket: Socket, withinMs: number): void {
    if (socket.destroyed) return;
    this.#all.set(socket, { bytesBefore: socket.bytesRead, untilMs: this.#deps.clock.now() + withinMs });
    this.#cancelLook ??= this.#deps.clock.after(LOOK_EVERY_MS, this.#look);
  }

  /** The caller is known, what it sent has been dealt with, or the connection has ended. */
  remove(socket: Socket): void {
    this.#all.delete(socket);
  }

  /** Ends the connections that nothing is under way on; the others are the server's to finish. */
  stop(): void {
    this.#cancelLook?.();
    for (const [socket, { untilMs }] of this.#all) if (untilMs !== Number.POSITIVE_INFINITY) socket.destroy();
    this.#all.clear();
  }

  readonly #look = (): void => {
    const now = this.#deps.clock.now();
    for (const [socket, { untilMs }] of this.#all) if (untilMs <= now) this.#close(socket, "silent");
    this.#closeLargest();
    this.#cancelLook = this.#all.size === 0 ? null : this.#deps.clock.after(LOOK_EVERY_MS, this.#look);
  };

  #closeLargest(): void {
    const sent = [...this.#all].map(([socket, { bytesBefore }]) => ({ socket, bytes: socket.bytesRead - bytesBefore }));
    let held = sent.reduce((sum, { bytes }) => sum + bytes, 0);
    if (held <= this.#deps.maxBytes) return;
    for (const { socket, bytes } of sent.sort((a, b) => b.bytes - a.bytes)) {
      if (held <= this.#deps.maxBytes) return;
      this.#close(socket, "unread");
      held -= bytes;
    }
  }

  #close(socket: Socket, reason: "silent" | "unread"): void {
    this.#all.delete(socket);
    this.#deps.close(socket, reason);
  }
}

/** Short, since memory grows in between by what the network brings. */
const LOOK_EVERY_MS = 250;
