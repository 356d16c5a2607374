import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { connect as connectHttp2, createServer as createHttp2Server } from "node:http2";
import { connect } from "node:net";
import { buffer } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { placeholderIdentity } from "../../src/ca/serving/placeholder-identity.ts";
import { envoyMissing } from "../support/envoy.ts";
import { endpoint, pod, service } from "../support/manifests.ts";
import { meshOf } from "../support/mesh.ts";
import { startSidecars } from "../support/sidecars.ts";
import { listenOn } from "../support/upstream.ts";

/** Calls as browsers make them, to a server that speaks gRPC only: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md */

/** One message, behind its flags and length. */
function frame(flags: number, text: string): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(flags, 0);
  head.writeUInt32BE(Buffer.byteLength(text), 1);
  return Buffer.concat([head, Buffer.from(text)]);
}

/** It sends each message back, and says in trailers that all is well. */
function startGrpc(t: TestContext): Promise<number> {
  const server = createHttp2Server();
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
  return listenOn(t, server, "127.0.0.1");
}

const call = { "content-type": "application/grpc-web+proto", "x-grpc-web": "1" };
const path = "/shop.Cart/Get";

function assertAnswer(body: Buffer): void {
  const message = frame(0, "cart");
  assert.deepEqual(body.subarray(0, message.length), message);
  const trailers = body.subarray(message.length);
  assert.equal(trailers[0], 0x80);
  assert.match(trailers.subarray(5).toString(), /^grpc-status:\s*0\r\n/m);
}

async function startMesh(t: TestContext) {
  const port = await startGrpc(t);
  const cart = { name: "cart-0", ip: "127.0.0.1" };
  const mesh = meshOf(
    [
      pod({ name: "caller", ip: "127.0.0.140" }),
      pod({ ...cart, labels: { app: "cart" } }),
      ...["grpc-web", "http"].map(
        (name, index) =>
          service({
            name: `cart-${name}`,
            ports: { [name]: { port: 80 + index, targetPort: port } },
            selector: { app: "cart" },
            clusterIP: `10.96.9.${index + 1}`,
          }) + endpoint(`cart-${name}`, cart, { [name]: port }),
      ),
    ].join(""),
  );
  const running = await startSidecars(t, placeholderIdentity(), {
    caller: { mesh, pod: "caller.shop" },
    cart: { mesh: meshOf(pod({ ...cart, labels: { app: "cart" } }) + grpcWebAlone(port)), pod: "cart-0.shop" },
  });
  return { port, running };
}

const grpcWebAlone = (port: number) =>
  service({
    name: "inside",
    ports: { "grpc-web": { port: 90, targetPort: port } },
    selector: { app: "cart" },
    clusterIP: "10.96.9.9",
  });

test("ports called grpc-web make gRPC of gRPC-Web", { skip: envoyMissing() }, async (t) => {
  const { port, running } = await startMesh(t);
  const ask = async (listener: string, host: string) => {
    const sent = request({ method: "POST", path, port: running.port("caller", listener), headers: { ...call, host } });
    sent.end(frame(0, "cart"));
    const [response] = await once(sent, "response");
    return { status: response.statusCode, type: response.headers["content-type"], body: await buffer(response) };
  };

  await t.test("at the caller's sidecar, from HTTP/1.1 too", async () => {
    const { status, type, body } = await ask("0.0.0.0_80", "cart-grpc-web");
    assert.equal(status, 200, body.toString());
    assert.equal(type, "application/grpc-web+proto");
    assertAnswer(body);
  });

  await t.test("but ports of other names do not", async () => {
    assert.notEqual((await ask("0.0.0.0_81", "cart-http")).status, 200);
  });

  await t.test("at the server's, for callers without one", async (t) => {
    const socket = connect(running.port("cart", "virtualInbound"), "127.0.0.1");
    socket.write(`PROXY TCP4 127.0.0.1 127.0.0.1 1234 ${port}\r\n`);
    const session = connectHttp2("http://cart-grpc-web", { createConnection: () => socket });
    t.after(() => session.destroy());
    const stream = session.request({ ":method": "POST", ":path": path, ...call });
    stream.end(frame(0, "cart"));
    assertAnswer(await buffer(stream));
  });
});
