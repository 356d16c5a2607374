import assert from "node:assert/strict";
import { createServer as createHttp2Server } from "node:http2";
import { createServer as createTcpServer, type Socket } from "node:net";
import { test } from "node:test";
import { placeholderIdentity } from "../../src/ca/serving/placeholder-identity.ts";
import { get } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { endpoint, istio, pod, service } from "../support/manifests.ts";
import { meshOf } from "../support/mesh.ts";
import { startSidecars } from "../support/sidecars.ts";
import { until } from "../support/until.ts";
import { listenOn } from "../support/upstream.ts";

/** An HTTP/2 SETTINGS frame without any settings: all that the silent upstream ever says. */
const SETTINGS = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);

test("http2KeepAlive: who does not answer a PING is called anew", { skip: envoyMissing() }, async (t) => {
  let pings = 0;
  const living = createHttp2Server((_, response) => response.end("alive"));
  living.on("session", (session) => session.on("ping", () => pings++));
  const silent = createTcpServer((socket: Socket) => {
    socket.on("error", () => socket.destroy());
    socket.resume().write(SETTINGS);
  });
  const upstreams = {
    living: { ip: "127.0.0.81", port: await listenOn(t, living, "127.0.0.81") },
    silent: { ip: "127.0.0.82", port: await listenOn(t, silent, "127.0.0.82") },
  };
  const http = { h2UpgradePolicy: "UPGRADE", http2KeepAlive: { interval: "0.1s", timeout: "60s" } };
  const impatient = { ...http, http2KeepAlive: { interval: "0.1s", timeout: "0.1s" } };
  const yaml = Object.entries(upstreams).map(([name, { ip, port }], index) => {
    const of = { name: `${name}-0`, ip, labels: { app: name } };
    return [
      service({ name, ports: { http: 80 }, clusterIP: `10.96.1.${index + 1}` }),
      pod(of),
      endpoint(name, of, { http: port }),
      istio("DestinationRule", name, {
        host: name,
        trafficPolicy: { connectionPool: { http: name === "living" ? http : impatient } },
      }),
      istio("VirtualService", name, {
        hosts: [name],
        http: [{ route: [{ destination: { host: name } }], retries: { attempts: 0 } }],
      }),
    ].join("");
  });
  const mesh = meshOf([pod({ name: "caller", ip: "127.0.0.80" }), ...yaml].join(""));
  const { port, envoy } = await startSidecars(t, placeholderIdentity(), { caller: { mesh, pod: "caller.shop" } });
  const ask = (host: string) => get(port("caller", "0.0.0.0_80"), { headers: { host } });
  const lost = (host: string) =>
    envoy.stat(`cluster.outbound|80||${host}.shop.svc.cluster.local.http2.keepalive_timeout`);

  assert.equal((await ask("living")).body, "alive");
  await until("two pings", async () => pings >= 2);
  assert.equal(await lost("living"), 0);

  assert.equal((await ask("silent")).status, 503);
  assert.equal(await lost("silent"), 1);
});
