import { ServerInterceptingCall, type ServerInterceptor } from "@grpc/grpc-js";

/** Where a call comes from: of one listener, no two connections have both in common. */
export interface Peer {
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
}

/**
 * Tells of callers whose single request is not there in whole within `timeoutMs`. What has arrived of a message is kept
 * until the rest comes, and who sends it is asked only then, so that half-sent messages would be anybody's way to all of
 * the memory. Streams of requests are open for long and are not timed.
 */
export function requestDeadline(timeoutMs: number, tooLate: (peer: Peer) => void): ServerInterceptor {
  return (method, call) => {
    if (method.requestStream) return new ServerInterceptingCall(call);
    const { remoteAddress, remotePort } = call.getConnectionInfo();
    const timer = setTimeout(() => tooLate({ remoteAddress, remotePort }), timeoutMs);
    return new ServerInterceptingCall(call, {
      start(next) {
        next({
          onReceiveMessage(message, pass) {
            clearTimeout(timer);
            pass(message);
          },
          onCancel: () => clearTimeout(timer),
        });
      },
    });
  };
}
