/** Bytes on their way as one gRPC message. */
export interface OutgoingMessage {
  /** What is to be written to a call whose messages are bytes. */
  readonly bytes: Buffer;
  /**
   * Frees the copy of `bytes` that gRPC has made, and returns how many bytes that were. Only to be called when the call
   * has said of this message, without an error, that it is written: the network reads from the copy until then.
   */
  free(): number;
}

/**
 * grpc-js copies each message behind its five bytes of compression and length, by the message's own `copy`, into memory outside of
 * the engine's heap. The engine frees such memory once its collector has been through the whole heap, and calls the
 * collector for every few dozen MB: to send 4 MB to each of 100 proxies took more processor time for that than for all else.
 * docs/performance.md has the figures. Where grpc-js makes no such copy, or a small one in memory that others share, nothing is freed.
 */
export function outgoingMessage(bytes: Buffer): OutgoingMessage {
  let copied: Uint8Array | undefined;
  const message = bytes.subarray();
  message.copy = (target, ...range) => {
    copied = target;
    return bytes.copy(target, ...range);
  };
  return {
    bytes: message,
    free() {
      const buffer = copied?.buffer;
      if (!(buffer instanceof ArrayBuffer) || buffer.byteLength !== copied?.byteLength) return 0;
      const freed = buffer.byteLength;
      buffer.transfer(0);
      return freed;
    },
  };
}
