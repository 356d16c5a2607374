import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer as createHttp2Server } from "node:http2";
import { type TestContext, test } from "node:test";
import { placeholderIdentity } from "../../src/ca/serving/placeholder-identity.ts";
import { get } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { endpoint, istio, pod, service } from "../support/manifests.ts";
import { meshOf } from "../support/mesh.ts";
import { startSidecars } from "../support/sidecars.ts";
import { listenOn, startUpstream } from "../support/upstream.ts";
import { assertWebSocketEchoes, startWebSocketEcho } from "../support/web-socket.ts";

/** What lasts longer than a request and its answer: a WebSocket and a gRPC call, both ways at once, through a real Envoy. */

/** Echoes each message of a call, and ends it with trailers, as gRPC does. */
function startGrpc(t: TestContext): Promise<number> {
  const server = createHttp2Server();
  server.on("stream", (stream) => {
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.on("data", (bytes) => stream.write(`echo ${bytes}`));
    stream.on("end", () => stream.end());
  });
  return listenOn(t, server, "127.0.0.102");
}

async function startMesh(t: TestContext) {
  const websocket = { name: "chat-0", ip: "127.0.0.101" };
  const grpc = { name: "feed-0", ip: "127.0.0.102" };
  const plain = await startUpstream(t, "plain", "127.0.0.103");
  const routes = (name: string, more: object) =>
    istio("VirtualService", name, { hosts: [name], http: [{ route: [{ destination: { host: name } }], ...more }] });
  const mesh = meshOf(
    [
      pod({ name: "caller", ip: "127.0.0.100" }),
      pod(websocket),
      pod(grpc),
      service({ name: "chat", ports: { http: 80 }, clusterIP: "10.96.0.1" }),
      service({ name: "plain", ports: { http: 80 }, clusterIP: "10.96.0.3" }),
      endpoint("plain", { name: "plain-0", ip: plain.ip }, { http: plain.port }),
      service({ name: "feed", ports: { grpc: 81 }, clusterIP: "10.96.0.2" }),
      endpoint("chat", websocket, { http: await startWebSocketEcho(t, websocket.ip) }),
      endpoint("feed", grpc, { grpc: await startGrpc(t) }),
      routes("chat", { headers: { request: { set: { "x-a": "1" } } } }),
      routes("feed", { retries: { attempts: 0 } }),
    ].join(""),
  );
  const { port } = await startSidecars(t, placeholderIdentity(), { caller: { mesh, pod: "caller.shop" } });
  return port;
}

test("streams pass both ways", { skip: envoyMissing() }, async (t) => {
  const port = await startMesh(t);

  await t.test("a WebSocket is upgraded, and carries bytes both ways", (t) =>
    assertWebSocketEchoes(t, port("caller", "0.0.0.0_80"), "chat"),
  );

  for (const upgrade of ["SPDY/3.1", "tcp"]) {
    await t.test(`so is a connection for ${upgrade}`, (t) =>
      assertWebSocketEchoes(t, port("caller", "0.0.0.0_80"), "chat", upgrade),
    );
  }

  await t.test("an offer of TLS is not taken, and its request is answered; what nobody knows is refused", async () => {
    const statusOf = async (upgrade: string) => {
      const headers = { host: "plain", connection: "upgrade", upgrade };
      return (await get(port("caller", "0.0.0.0_80"), { headers })).status;
    };
    assert.deepEqual([await statusOf("TLS/1.2"), await statusOf("moon/1")], [200, 403]);
  });

  await t.test("a gRPC call has messages both ways, and its status in trailers", async (t) => {
    const session = connect(`http://127.0.0.1:${port("caller", "0.0.0.0_81")}`);
    t.after(() => session.destroy());
    const stream = session.request({
      ":method": "POST",
      ":path": "/feed.Feed/Watch",
      ":authority": "feed:81",
      "content-type": "application/grpc",
      te: "trailers",
    });
    for (const text of ["one", "two", "three"]) {
      stream.write(text);
      const [bytes] = await once(stream, "data");
      assert.equal(String(bytes), `echo ${text}`);
    }
    const trailers = once(stream, "trailers");
    stream.end();
    const [found] = await trailers;
    assert.equal(found["grpc-status"], "0");
  });
});
