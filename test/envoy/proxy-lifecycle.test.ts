import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Agent, get, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { printBootstrap } from "../../src/init/bootstrap.ts";
import { buildLifecycleTask } from "../../src/init/lifecycle-task.ts";
import { type LifecycleTask, POD_PATH, PROXY_PORT } from "../../src/injection/pod-contract.ts";
import { buildLifecycle, scriptOf } from "../../src/injection/proxy-lifecycle.ts";
import { envoyMissing, envoyPath, type RunningEnvoy, startEnvoy } from "../support/envoy.ts";
import { freePort } from "../support/free-port.ts";
import { until } from "../support/until.ts";

/** The hooks that the webhook writes, run by bash or as a second Envoy, against the real Envoy. */

const skip = envoyMissing();
const drain = { kind: "drain", holdSeconds: 0, untilIdle: false } as const;
const wait = { kind: "wait" } as const;

for (const by of ["bash", "a second Envoy"] as const) {
  const roles = [
    { role: "native sidecar", direction: "INBOUND", task: drain },
    { role: "gateway", direction: "OUTBOUND", task: { ...drain, isGateway: true } },
  ] as const;
  for (const { role, direction, task } of roles) {
    test(`by ${by}: a ${role}'s preStop asks callers to close, and Envoy serves on`, { skip }, async (t) => {
      const { envoy, port } = await startServer(t, { direction });
      const agent = new Agent({ keepAlive: true });
      t.after(() => agent.destroy());
      assert.notEqual((await request(port, agent)).headers.connection, "close");

      assert.equal(await ended(run(t, by, task, { admin: adminPort(envoy) })), 0);
      await until("a request to be asked to close", async () => {
        const answer = await request(port, agent);
        assert.equal(answer.statusCode, 200);
        return answer.headers.connection === "close";
      });
      assert.equal((await request(port, agent)).statusCode, 200, "new connections are still taken");
    });
  }

  test(`by ${by}: EXIT_ON_ZERO_ACTIVE_CONNECTIONS holds the end back until the last connection is closed`, {
    skip,
  }, async (t) => {
    const { envoy, port } = await startServer(t);
    const held = connect(port, "127.0.0.1");
    t.after(() => held.destroy());
    await once(held, "connect");
    await until("the connection to count", async () => (await active(envoy)) === 1);

    const hook = run(t, by, { ...drain, untilIdle: true }, { admin: adminPort(envoy) });
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

  test(`by ${by}: preStop of a proxy that is gone already ends at once`, { skip }, async (t) => {
    const hook = run(t, by, { ...drain, untilIdle: true }, { admin: await freePort() });
    assert.equal(typeof (await ended(hook)), "number");
  });

  test(`by ${by}: a classic sidecar's postStart holds the app back until Envoy is ready`, { skip }, async (t) => {
    const port = await freePort();
    const hook = run(t, by, wait, { status: port });
    assert.equal(hook.exitCode, null);
    await startServer(t, { listenPort: port, status: 503 });
    await until("Envoy to say 503", async () => (await statusOf(port)) === 503);
    assert.equal(hook.exitCode, null, "an answer other than 200 is not ready");
  });

  test(`by ${by}: … and lets it go then`, { skip }, async (t) => {
    const port = await freePort();
    const hook = run(t, by, wait, { status: port });
    await startServer(t, { listenPort: port });
    assert.equal(await ended(hook), 0);
  });

  test(`by ${by}: no request is lost where one of two pods is stopped`, { skip }, async (t) => {
    const [stopped, other] = [await startServer(t), await startServer(t)];
    const callers = Array.from({ length: 4 }, () => startCaller(t, [stopped.port, other.port]));
    await until("all callers to use both", () => callers.every(({ answers }) => answers.size === 2));

    const hook = run(t, by, { ...drain, holdSeconds: 2 }, { admin: adminPort(stopped.envoy) });
    // As in a cluster, callers hear of a pod's end a moment after the pod itself does.
    await until("the drain to have begun", async () => (await request(stopped.port)).headers.connection === "close");
    for (const caller of callers) caller.forget(stopped.port);
    assert.equal(await ended(hook), 0);
    // By now the next answer says so, also to one that the machine kept from asking meanwhile.
    await until("all to be asked to close", () => callers.every((caller) => !caller.isAt(stopped.port)));
    await stopped.envoy.stop();
    const before = callers.map(({ answers }) => answers.get(other.port) ?? 0);
    await until("all to go on elsewhere", () =>
      callers.every(({ answers }, index) => (answers.get(other.port) ?? 0) > (before[index] ?? 0) + 20),
    );
    for (const caller of callers) assert.deepEqual(await caller.stop(), []);
  });
}

/** Asks both servers in turn, over connections that it keeps until it is asked to close them. Never asks twice. */
function startCaller(t: TestContext, ports: readonly number[]) {
  const answers = new Map<number, number>();
  const failures: string[] = [];
  const open = new Set<number>();
  let known = ports;
  let isStopped = false;
  const agents = new Map(ports.map((port) => [port, new Agent({ keepAlive: true, maxSockets: 1 })]));
  const loop = (async () => {
    while (!isStopped) {
      for (const port of ports.filter((port) => known.includes(port) || open.has(port))) {
        try {
          const { statusCode, headers } = await request(port, agents.get(port));
          if (statusCode !== 200) failures.push(`${port}: ${statusCode}`);
          answers.set(port, (answers.get(port) ?? 0) + 1);
          if (headers.connection === "close") open.delete(port);
          else open.add(port);
        } catch (error) {
          failures.push(`${port}: ${error}`);
          open.delete(port);
        }
      }
    }
  })();
  const stop = async () => {
    isStopped = true;
    await loop;
    for (const agent of agents.values()) agent.destroy();
    return failures;
  };
  t.after(stop);
  return {
    answers,
    /** Whether it keeps a connection there. */
    isAt: (port: number) => open.has(port),
    forget(port: number) {
      known = known.filter((other) => other !== port);
    },
    stop,
  };
}

interface ServerOptions {
  readonly listenPort?: number;
  readonly status?: number;
  readonly direction?: "INBOUND" | "OUTBOUND";
}

async function startServer(
  t: TestContext,
  { listenPort = 0, status = 200, direction = "INBOUND" }: ServerOptions = {},
) {
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
    traffic_direction: direction,
    address: { socket_address: { address: "127.0.0.1", port_value: listenPort } },
    filter_chains: [{ filters: [{ name: "http", typed_config: manager }] }],
  };
  const envoy = await startEnvoy(t, { static_resources: { listeners: [listener] } }, { args: ["--drain-time-s", "2"] });
  return { envoy, port: listenPort || (await envoy.listenerPort("inbound")) };
}

function run(
  t: TestContext,
  by: "bash" | "a second Envoy",
  task: LifecycleTask,
  own: { readonly admin?: number; readonly status?: number },
): ChildProcess {
  const ports = { ...PROXY_PORT, ...own };
  const [program, args] =
    by === "bash" ? ["/bin/bash", ["-c", scriptOf(task, ports)]] : [envoyPath(), secondEnvoy(t, task, ports)];
  const child = spawn(program, args, { stdio: "ignore", detached: true });
  t.after(() => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGKILL");
  });
  return child;
}

type LifecyclePorts = Parameters<typeof buildLifecycleTask>[0]["ports"];

function secondEnvoy(t: TestContext, task: LifecycleTask, ports: LifecyclePorts): string[] {
  const folder = mkdtempSync(join(tmpdir(), "trysail-hook-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "hook.json");
  writeFileSync(file, printBootstrap(buildLifecycleTask({ task, name: randomUUID(), ports })));
  const { exec } = buildLifecycle({ preStop: drain }, { image: "envoy:distroless-v1" }).preStop;
  const [, ...args] = exec.command;
  return args.map((arg) => (arg === POD_PATH.preStop ? file : arg));
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
