import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { Agent, get, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import { drainScript, waitScript } from "../../src/injection/proxy-lifecycle.ts";
import { envoyMissing, type RunningEnvoy, startEnvoy } from "../support/envoy.ts";
import { until } from "../support/until.ts";

/** The hooks that the webhook writes, run by bash against the real Envoy. */

const skip = envoyMissing();
const drain = { drainSeconds: 45, terminationSeconds: 0, untilIdleSeconds: null };

test("a native sidecar's preStop asks callers to close, and Envoy serves on", { skip }, async (t) => {
  const { envoy, port } = await startServer(t);
  const agent = new Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  assert.notEqual((await request(port, agent)).headers.connection, "close");

  assert.equal(await ended(run(t, drainScript({ adminPort: adminPort(envoy), endsBehindApp: true, drain }))), 0);
  await until("a request to be asked to close", async () => {
    const answer = await request(port, agent);
    assert.equal(answer.statusCode, 200);
    return answer.headers.connection === "close";
  });
  assert.equal((await request(port, agent)).statusCode, 200, "new connections are still taken");
});

test("EXIT_ON_ZERO_ACTIVE_CONNECTIONS holds the end back until the last connection is closed", { skip }, async (t) => {
  const { envoy, port } = await startServer(t);
  const held = connect(port, "127.0.0.1");
  t.after(() => held.destroy());
  await once(held, "connect");
  await until("the connection to count", async () => (await active(envoy)) === 1);

  const untilIdle = { ...drain, untilIdleSeconds: 0 };
  const hook = run(t, drainScript({ adminPort: adminPort(envoy), endsBehindApp: false, drain: untilIdle }));
  // It drains, asks about the connection, and asks again.
  const before = await envoy.stat("http.admin.downstream_rq_total");
  let own = 0;
  await until("it to have asked twice", async () => {
    own++;
    return (await envoy.stat("http.admin.downstream_rq_total")) - before - own >= 3;
  });
  assert.equal(hook.exitCode, null);

  held.destroy();
  assert.equal(await ended(hook), 0);
  assert.equal(await active(envoy), 0);
});

test("preStop of a proxy that is gone already ends at once", async (t) => {
  const port = await closedPort();
  assert.equal(typeof (await ended(run(t, drainScript({ adminPort: port, endsBehindApp: true, drain })))), "number");
});

test("a classic sidecar's postStart holds the app back until Envoy is ready", { skip }, async (t) => {
  const port = await closedPort();
  const hook = run(t, waitScript(port));
  assert.equal(hook.exitCode, null);
  await startServer(t, port, 503);
  await until("Envoy to say 503", async () => (await statusOf(port)) === 503);
  assert.equal(hook.exitCode, null, "an answer other than 200 is not ready");
});

test("… and lets it go then", { skip }, async (t) => {
  const port = await closedPort();
  const hook = run(t, waitScript(port));
  await startServer(t, port);
  assert.equal(await ended(hook), 0);
});

async function startServer(t: TestContext, listenPort = 0, status = 200) {
  const manager = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: "inbound",
    http_filters: [
      {
        name: "router",
        typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
      },
    ],
    route_config: {
      virtual_hosts: [
        { name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, direct_response: { status } }] },
      ],
    },
  };
  const listener = {
    name: "inbound",
    traffic_direction: "INBOUND",
    address: { socket_address: { address: "127.0.0.1", port_value: listenPort } },
    filter_chains: [{ filters: [{ name: "http", typed_config: manager }] }],
  };
  const envoy = await startEnvoy(t, { static_resources: { listeners: [listener] } }, { args: ["--drain-time-s", "2"] });
  return { envoy, port: listenPort || (await envoy.listenerPort("inbound")) };
}

function run(t: TestContext, script: string): ChildProcess {
  const child = spawn("/bin/bash", ["-c", script], { stdio: "ignore", detached: true });
  t.after(() => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGKILL");
  });
  return child;
}

async function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null) await once(child, "exit");
  return child.exitCode;
}

function adminPort(envoy: RunningEnvoy): number {
  return Number(new URL(envoy.adminUrl).port);
}

async function active(envoy: RunningEnvoy): Promise<number> {
  const line = /^listener\.127\.0\.0\.1_\d+\.downstream_cx_active: (\d+)$/m.exec(await envoy.admin("/stats"));
  return Number(line?.[1] ?? Number.NaN);
}

async function request(port: number, agent?: Agent): Promise<IncomingMessage> {
  const [answer]: [IncomingMessage] = await new Promise((resolve, reject) => {
    get({ port, host: "127.0.0.1", path: "/healthz/ready", agent }, (response) => {
      response.resume();
      response.once("end", () => resolve([response]));
    }).once("error", reject);
  });
  return answer;
}

async function statusOf(port: number): Promise<number | undefined> {
  return (await request(port).catch(() => undefined))?.statusCode;
}

/** A port that was free a moment ago. */
async function closedPort(): Promise<number> {
  const { createServer } = await import("node:net");
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  assert.ok(typeof address === "object" && address !== null);
  return address.port;
}
