import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { createServer } from "node:http2";
import { buffer } from "node:stream/consumers";
import type { TestContext } from "node:test";
import { listenOn } from "./upstream.ts";

/** A gRPC server, and calls of it as browsers make them: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md */

/** It speaks gRPC only: it sends each message back, and says in trailers that all is well. */
export function startGrpcEcho(t: TestContext, ip: string): Promise<number> {
  const server = createServer();
  server.on("stream", async (stream, headers) => {
    stream.on("error", () => undefined);
    if (headers["content-type"] !== "application/grpc+proto" && headers["content-type"] !== "application/grpc") {
      stream.respond({ ":status": 415 }, { endStream: true });
      return;
    }
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(await buffer(stream));
  });
  return listenOn(t, server, ip);
}

/** What such a call is made of, over HTTP of any version. */
export const grpcWeb = {
  path: "/shop.Cart/Get",
  headers: { "content-type": "application/grpc-web+proto", "x-grpc-web": "1" },
  /** One message, behind its flags and length. */
  body: frame("cart"),
};

function frame(text: string): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(Buffer.byteLength(text), 1);
  return Buffer.concat([head, Buffer.from(text)]);
}

export interface GrpcWebAnswer {
  readonly status: number | undefined;
  readonly type: string | undefined;
  readonly body: Buffer;
}

/** A call over HTTP/1.1 to a port of 127.0.0.1. */
export async function grpcWebCall(port: number, host: string): Promise<GrpcWebAnswer> {
  const { path, headers, body } = grpcWeb;
  const sent = request({ method: "POST", path, host: "127.0.0.1", port, headers: { ...headers, host } });
  sent.end(body);
  const [response] = await once(sent, "response");
  return { status: response.statusCode, type: response.headers["content-type"], body: await buffer(response) };
}

export function assertGrpcWebAnswer({ status, type, body }: GrpcWebAnswer): void {
  assert.equal(status, 200, body.toString());
  assert.equal(type, "application/grpc-web+proto");
  assertGrpcWebBody(body);
}

/** The message, then the trailers as a message of their own. */
export function assertGrpcWebBody(body: Buffer): void {
  assert.deepEqual(body.subarray(0, grpcWeb.body.length), grpcWeb.body);
  const trailers = body.subarray(grpcWeb.body.length);
  assert.equal(trailers[0], 0x80);
  assert.match(trailers.subarray(5).toString(), /^grpc-status:\s*0\r\n/m);
}
