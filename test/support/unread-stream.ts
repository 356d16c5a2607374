import { connect } from "node:http2";
import type { TestContext } from "node:test";
import { NODE } from "./xds-client.ts";
import { sotwRequestBytes } from "./xds-messages.ts";

/**
 * A state-of-the-world stream by bare HTTP/2 that asks for a type and reads nothing of the answer, so that the
 * server gets no further than the flow-control window. (A gRPC client reads each message whole.) Answers a function
 * that tells whether the stream is still open.
 */
export function openUnreadStream(t: TestContext, port: number, typeUrl: string): () => boolean {
  const session = connect(`http://127.0.0.1:${port}`);
  session.on("error", () => {});
  t.after(() => session.destroy());
  const stream = session.request({
    ":method": "POST",
    ":path": "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
    "content-type": "application/grpc",
    te: "trailers",
  });
  stream.on("error", () => {});
  stream.pause();
  const message = sotwRequestBytes({ node: NODE, typeUrl });
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  stream.write(Buffer.concat([head, message]));
  return () => !stream.closed;
}
