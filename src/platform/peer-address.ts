/** Where a gRPC call comes from: of `ADDRESS:PORT`, as gRPC says it, what a caller's connections have in common. */
export function peerAddress(call: { getPeer(): string }): string {
  return call.getPeer().replace(/:[0-9]+$/, "");
}
