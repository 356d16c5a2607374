import assert from "node:assert/strict";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { buffer } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { placeholderIdentity } from "../../src/ca/serving/placeholder-identity.ts";
import { envoyMissing } from "../support/envoy.ts";
import { assertGrpcWebAnswer, assertGrpcWebBody, grpcWeb, grpcWebCall, startGrpcEcho } from "../support/grpc-echo.ts";
import { endpoint, pod, service } from "../support/manifests.ts";
import { meshOf } from "../support/mesh.ts";
import { startSidecars } from "../support/sidecars.ts";

/** Calls as browsers make them, to a server that speaks gRPC only, through sidecars. */

async function startMesh(t: TestContext) {
  const port = await startGrpcEcho(t, "127.0.0.1");
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
  await t.test("at the caller's sidecar, from HTTP/1.1 too", async () => {
    assertGrpcWebAnswer(await grpcWebCall(running.port("caller", "0.0.0.0_80"), "cart-grpc-web"));
  });

  await t.test("but ports of other names do not", async () => {
    assert.notEqual((await grpcWebCall(running.port("caller", "0.0.0.0_81"), "cart-http")).status, 200);
  });

  await t.test("at the server's, for callers without one", async (t) => {
    const socket = connect(running.port("cart", "virtualInbound"), "127.0.0.1");
    socket.write(`PROXY TCP4 127.0.0.1 127.0.0.1 1234 ${port}\r\n`);
    const session = connectHttp2("http://cart-grpc-web", { createConnection: () => socket });
    t.after(() => session.destroy());
    const stream = session.request({ ":method": "POST", ":path": grpcWeb.path, ...grpcWeb.headers });
    stream.end(grpcWeb.body);
    assertGrpcWebBody(await buffer(stream));
  });
});
