import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";

export interface HalfSentOptions {
  /** What may be held of all connections together. */
  readonly maxBytes: number;
  /** The connection that a stream came on; undefined for one of another server. */
  connectionOf(stream: ServerHttp2Stream): Socket | undefined;
  /** Closes the connection that holds the most, where all together hold too much. */
  close(socket: Socket): void;
}

/**
 * Bounds what is held of gRPC messages that are not there in whole. grpc-js keeps their parts until the last one comes,
 * for as long as that takes, and lets nobody look: so the parts are counted where HTTP/2 has them. Whoever has proven who
 * it is counts as well, since a single workload's token would else be a way to all of the memory. Answers how to end it.
 */
export function boundHalfSent({ maxBytes, connectionOf, close }: HalfSentOptions): () => void {
  const held = new Map<Socket, number>();
  let total = 0;

  const grow = (socket: Socket, bytes: number): void => {
    const before = held.get(socket);
    if (before === undefined) return;
    held.set(socket, before + bytes);
    total += bytes;
    if (total > maxBytes) closeLargest();
  };
  const forget = (socket: Socket): void => {
    total -= held.get(socket) ?? 0;
    held.delete(socket);
  };
  const closeLargest = (): void => {
    const [largest] = [...held].reduce((most, one) => (one[1] > most[1] ? one : most));
    forget(largest);
    close(largest);
  };

  const created = (message: unknown): void => {
    if (!isOfStream(message)) return;
    const { stream } = message;
    const socket = connectionOf(stream);
    if (socket === undefined) return;
    if (!held.has(socket)) {
      held.set(socket, 0);
      socket.once("close", () => forget(socket));
    }
    const parts = new MessageParts();
    // Else it would flow at once, and under load what comes before the server's own listener is there would be lost.
    stream.pause();
    stream.on("data", (chunk: Buffer) => grow(socket, parts.add(chunk)));
    stream.once("close", () => grow(socket, -parts.held));
  };
  subscribe(CHANNEL, created);
  return () => void unsubscribe(CHANNEL, created);
}

/** In front of the server's own handler of the stream, so that nothing of it is missed. */
const CHANNEL = "http2.server.stream.created";

function isOfStream(message: unknown): message is { readonly stream: ServerHttp2Stream } {
  return typeof message === "object" && message !== null && "stream" in message && message.stream instanceof Duplex;
}

/** A flag and a length of four bytes (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md). */
const PREFIX_BYTES = 5;
/** What Node has for each part beside its bytes, of which a part may have as few as one. */
const PART_BYTES = 512;

/** Follows a stream from one message to the next. */
class MessageParts {
  /** What is kept of the message that is not there in whole. */
  held = 0;
  #prefixRead = 0;
  #length = 0;
  #missing = 0;

  /** Answers by how much more is held than before. */
  add(chunk: Buffer): number {
    const before = this.held;
    let partAt = 0;
    for (let at = 0; at < chunk.length; ) {
      if (this.#prefixRead < PREFIX_BYTES) {
        // The first of the five is a flag.
        if (this.#prefixRead++ > 0) this.#length = this.#length * 256 + (chunk[at] ?? 0);
        at++;
        this.#missing = this.#length;
      } else {
        const there = Math.min(this.#missing, chunk.length - at);
        this.#missing -= there;
        at += there;
      }
      if (this.#prefixRead < PREFIX_BYTES || this.#missing > 0) continue;
      this.#prefixRead = 0;
      this.#length = 0;
      this.held = 0;
      partAt = at;
    }
    if (partAt < chunk.length) this.held += chunk.length - partAt + PART_BYTES;
    return this.held - before;
  }
}
