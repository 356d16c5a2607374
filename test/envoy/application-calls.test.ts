import assert from "node:assert/strict";
import { createServer } from "node:http";
import { connect as connectHttp2, createServer as createHttp2Server } from "node:http2";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { placeholderIdentity } from "../../src/ca/serving/placeholder-identity.ts";
import { callHttp, type InboundCall } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { istio, pod, service } from "../support/manifests.ts";
import { meshOf } from "../support/mesh.ts";
import { startSidecars } from "../support/sidecars.ts";
import { until } from "../support/until.ts";
import { listenOn, startUpstream, type Upstream } from "../support/upstream.ts";

/** How a sidecar calls the application beside it, asked of a real Envoy. */

const IP = "127.0.0.97";
/** More than Envoy's own limit of connections and requests, 1,024 each. */
const MANY = 1100;

/** Answers with the version of HTTP that it was spoken to in, and speaks none but its own. */
async function startVersions(t: TestContext): Promise<{ http: number; http2: number }> {
  const answer = (request: { readonly httpVersion: string }, response: { end(body: string): unknown }) =>
    response.end(request.httpVersion);
  const [older, newer] = [createServer(answer), createHttp2Server(answer)];
  return { http: await listenOn(t, older, "127.0.0.1"), http2: await listenOn(t, newer, "127.0.0.1") };
}

async function askByHttp2({ port, destination }: InboundCall): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.write(`PROXY TCP4 127.0.0.1 127.0.0.1 1234 ${destination}\r\n`);
  const session = connectHttp2("http://app", { createConnection: () => socket });
  try {
    return await text(session.request({ ":path": "/" }));
  } finally {
    session.destroy();
  }
}

/** The first line of the answer. */
async function askByHttp10({ port, destination }: InboundCall): Promise<string | undefined> {
  const socket = connect(port, "127.0.0.1");
  socket.write(`PROXY TCP4 127.0.0.1 127.0.0.1 1234 ${destination}\r\n`);
  socket.write("GET / HTTP/1.0\r\n\r\n");
  return (await text(socket)).split("\r\n")[0];
}

async function startMesh(t: TestContext) {
  const app = (name: string) => startUpstream(t, name);
  const [detected, open, undeclared, pooled, portPooled, limited] = [
    await app("detected"),
    await app("open"),
    await app("undeclared"),
    await app("pooled"),
    await app("port-pooled"),
    await app("limited"),
  ];
  const { http, http2 } = await startVersions(t);
  const lead = (name: string, port: string, targetPort: number) =>
    service({ name, selector: { mesh: "yes" }, ports: { [port]: { port: 80, targetPort } } });
  const one = { connectionPool: { tcp: { maxConnections: 1 }, http: { http1MaxPendingRequests: 1 } } };
  const rule = (host: string, trafficPolicy: object) => istio("DestinationRule", host, { host, trafficPolicy });
  const byClient = (name: string, port: string, targetPort: number) =>
    lead(name, port, targetPort) + rule(name, { connectionPool: { http: { useClientProtocol: true } } });
  const shared = [lead("pooled", "http", pooled.port), rule("pooled", one)].join("");
  const servers = {
    server: [
      shared,
      lead("open", "http", open.port),
      lead("port-pooled", "http", portPooled.port),
      rule("port-pooled", { ...one, portLevelSettings: [{ port: { number: 80 }, tls: { mode: "DISABLE" } }] }),
      lead("detected", "any", detected.port),
      lead("older", "http", http),
      lead("newer", "http2", http2),
    ],
    // The Sidecar's limits go before the rule's.
    limited: [
      lead("limited", "http", limited.port),
      rule("limited", { connectionPool: { http: { http1MaxPendingRequests: 5 } } }),
      istio("Sidecar", "limits", { inboundConnectionPool: one.connectionPool }),
    ],
    following: [byClient("either", "http", http2)],
  };
  const sidecars = Object.entries(servers).map(([name, objects]) => {
    const mesh = meshOf(pod({ name, ip: IP, labels: { mesh: "yes" } }) + objects.join(""));
    return [name, { mesh, pod: `${name}.shop` }] as const;
  });
  const running = new Map<string, number>();
  for (const [name, sidecar] of sidecars) {
    const { port } = await startSidecars(t, placeholderIdentity(), { [name]: sidecar });
    running.set(name, port(name, "virtualInbound"));
  }
  const to = (server: keyof typeof servers, destination: number): InboundCall => ({
    port: running.get(server) ?? 0,
    destination,
  });
  return { to, detected, open, undeclared, pooled, portPooled, limited, http, http2 };
}

test("a sidecar calls its application as its Services say", { skip: envoyMissing(), timeout: 120_000 }, async (t) => {
  const { to, ...apps } = await startMesh(t);

  /** Requests that nobody answers. */
  const hold = (server: Parameters<typeof to>[0], { port }: Upstream, count: number) => {
    for (let i = 0; i < count; i++) void callHttp(to(server, port), { path: "/never" });
  };

  for (const name of ["open", "undeclared"] as const) {
    await t.test(`${name}: as many requests at once as come`, async () => {
      hold("server", apps[name], MANY);
      await until("all of them", () => apps[name].count("/never") === MANY, { timeoutMs: 30_000 });
    });
  }

  const limits: [server: "server" | "limited", app: "pooled" | "limited", what: string][] = [
    ["server", "pooled", "connectionPool of a Service's own rule: also its sidecar lets in no more"],
    ["limited", "limited", "inboundConnectionPool of a Sidecar goes before the rule's"],
  ];
  for (const [server, app, what] of limits) {
    await t.test(what, async () => {
      hold(server, apps[app], 1);
      await until("the first", () => apps[app].count("/never") === 1);
      // Of the next two one waits for the only connection, and the other is too many.
      const answers: (number | undefined)[] = [];
      for (let i = 0; i < 2; i++) {
        void callHttp(to(server, apps[app].port), { path: "/never" }).then((answer) => answers.push(answer?.status));
      }
      await until("a refusal", () => answers.length > 0);
      assert.deepEqual(answers, [503]);
      assert.equal(apps[app].count("/never"), 1);
    });
  }

  await t.test("portLevelSettings of a Service's own rule take the place of all limits", async () => {
    hold("server", apps.portPooled, 5);
    await until("all of them", () => apps.portPooled.count("/never") === 5);
  });

  await t.test("the application is spoken to in the version that its port declares", async () => {
    assert.equal(await askByHttp2(to("server", apps.http)), "1.1");
    assert.equal((await callHttp(to("server", apps.http2)))?.body, "2.0");
  });

  await t.test("HTTP/1.0 reaches the application where the port declares no protocol", async () => {
    assert.equal(await askByHttp10(to("server", apps.detected.port)), "HTTP/1.1 200 OK");
    assert.equal((await callHttp(to("server", apps.detected.port)))?.status, 200);
  });

  await t.test("useClientProtocol of a Service's own rule: or in its callers'", async () => {
    assert.equal(await askByHttp2(to("following", apps.http2)), "2.0");
    assert.notEqual((await callHttp(to("following", apps.http2)))?.status, 200);
  });

  await t.test("whoever asks before it sends a body is answered by the application", async () => {
    const seen = await callHttp(to("server", apps.open.port), { headers: { expect: "100-continue" }, method: "POST" });
    assert.equal(seen?.status, 200);
    assert.equal(apps.open.last("/")?.headers.expect, "100-continue");
  });
});
