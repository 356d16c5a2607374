import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttp2Server } from "node:http2";
import { test } from "node:test";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { placeholderIdentity } from "../../src/ca/serving/placeholder-identity.ts";
import { get } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { document, endpoint, istio, pod } from "../support/manifests.ts";
import { meshOf } from "../support/mesh.ts";
import { startSidecars } from "../support/sidecars.ts";
import { listenOn, startUpstream } from "../support/upstream.ts";

/** What a port declares by its `appProtocol`, which goes before its name, asked of a real Envoy. */

const IP = "127.0.0.109";

/** A Service of one port at `10.96.7.PORT`. */
function declaring(name: string, port: number, portName: string, appProtocol: string, target: number): string {
  const ports = [{ port, name: portName, appProtocol }];
  const spec = { clusterIP: `10.96.7.${port}`, selector: { app: name }, ports };
  return (
    document({ apiVersion: "v1", kind: "Service", metadata: { name, namespace: "shop" }, spec }) +
    endpoint(name, { name: `${name}-0`, ip: IP }, { [portName]: target })
  );
}

test("a port's appProtocol says what is spoken there, whatever its name", { skip: envoyMissing() }, async (t) => {
  const web = await startUpstream(t, "web", IP);
  const newer = createHttp2Server((request, response) => response.end(request.httpVersion));
  const { chainPem: cert, keyPem: key } = placeholderIdentity();
  const sealed = createTlsServer({ cert, key }, (socket) => socket.on("error", () => socket.destroy()).end("sealed"));
  const rows: [port: number, portName: string, appProtocol: string, what: string, listener: string][] = [
    [81, "tcp", "http", "routed", "0.0.0.0_81"],
    [82, "tcp", "kubernetes.io/ws", "routed", "0.0.0.0_82"],
    [83, "tcp", "GRPC", "routed", "0.0.0.0_83"],
    [84, "http", "tcp", "web", "10.96.7.84_84"],
    [85, "http", "redis", "web", "10.96.7.85_85"],
    // Told at each connection.
    [86, "tcp", "example.com/mystery", "routed", "10.96.7.86_86"],
  ];
  const mesh = meshOf(
    [
      pod({ name: "caller", ip: "127.0.0.110" }),
      ...rows.map(([port, portName, appProtocol]) => {
        const name = `app-${port}`;
        const http = [{ directResponse: { status: 200, body: { string: JSON.stringify({ upstream: "routed" }) } } }];
        return (
          declaring(name, port, portName, appProtocol, web.port) +
          istio("VirtualService", name, { hosts: [name], http })
        );
      }),
      declaring("newer", 87, "tcp", "kubernetes.io/h2c", await listenOn(t, newer, IP)),
      declaring("sealed", 88, "http", "kubernetes.io/wss", await listenOn(t, sealed, IP)),
    ].join(""),
  );
  const { port } = await startSidecars(t, placeholderIdentity(), { caller: { mesh, pod: "caller.shop" } });

  for (const [number, portName, appProtocol, what, listener] of rows) {
    await t.test(`${appProtocol} at a port called ${portName}: ${what}`, async () => {
      const { body } = await get(port("caller", listener), { headers: { host: `app-${number}:${number}` } });
      assert.equal(JSON.parse(body).upstream, what);
    });
  }

  await t.test("kubernetes.io/h2c: the server is spoken to in HTTP/2", async () => {
    assert.equal((await get(port("caller", "0.0.0.0_87"), { headers: { host: "newer:87" } })).body, "2.0");
  });

  await t.test("kubernetes.io/wss: TLS of the application's own goes through as it is", async () => {
    const where = { host: "127.0.0.1", port: port("caller", "10.96.7.88_88"), rejectUnauthorized: false };
    const socket = connectTls({ ...where, servername: "sealed" });
    t.after(() => socket.destroy());
    assert.equal(String((await once(socket, "data"))[0]), "sealed");
  });
});
