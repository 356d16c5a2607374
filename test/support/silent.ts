import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import type { TestContext } from "node:test";
import { setImmediate as eventsSeen } from "node:timers/promises";
import { until } from "./until.ts";
import type { Upstream } from "./upstream.ts";

/** It takes no connection: its queue is full, and whoever dials it hears nothing. */
export async function startSilent(t: TestContext, ip: string): Promise<Pick<Upstream, "ip" | "port">> {
  const server = `
    const server = require("node:net").createServer().listen({ host: "${ip}", port: 0, backlog: 1 }, () => {
      require("node:fs").writeSync(1, String(server.address().port));
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    });`;
  const child = spawn(process.execPath, ["-e", server], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "exit");
  t.after(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  const port = Number((await once(child.stdout, "data"))[0]);
  // Those in the queue are connected, and the first that is not tells that it is full.
  const isFull = async () => {
    const socket = connect(port, ip).on("error", () => undefined);
    t.after(() => socket.destroy());
    const signal = AbortSignal.timeout(300);
    return once(socket, "connect", { signal }).then(
      () => false,
      // Where this process stood still meanwhile, it hears only now of a connection that was made.
      () => eventsSeen().then(() => socket.connecting),
    );
  };
  await until("its queue to be full", isFull);
  return { ip, port };
}
