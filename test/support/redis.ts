import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { freePort } from "./free-port.ts";

/** False where there is a Redis to test with, else why not: what `skip` of node:test takes. */
export function redisMissing(): string | false {
  const path = redisPath();
  return existsSync(path) ? false : `no Redis at ${path}: run make setup, or set REDIS_SERVER`;
}

function redisPath(): string {
  return process.env.REDIS_SERVER ?? fileURLToPath(new URL("../../.cache/redis/redis-server", import.meta.url));
}

export interface TestRedis {
  readonly url: string;
  /** Ends it at once, with all that it holds. */
  kill(): Promise<void>;
  /** Starts an empty one at the same address. */
  start(): Promise<void>;
  /** Stops and continues it, as a machine that hangs. */
  signal(name: "SIGSTOP" | "SIGCONT"): void;
}

/** A real Redis that keeps nothing on disk, ended behind the test. */
export async function startRedis(t: TestContext): Promise<TestRedis> {
  // It cannot tell which port it was given, and has to come back to the same one.
  const port = await freePort();
  const libraries = fileURLToPath(new URL("../../.cache/redis/lib", import.meta.url));
  const start = async () => {
    const child = spawn(
      redisPath(),
      ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"],
      { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, LD_LIBRARY_PATH: libraries } },
    );
    const ended = once(child, "exit");
    let log = "";
    await new Promise<void>((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", () => reject(new Error(`Redis ended: ${log}`)));
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        log += text;
        if (log.includes("Ready to accept connections")) resolve();
      });
    });
    return { child, ended };
  };
  let running = await start();
  const kill = async () => {
    running.child.kill("SIGKILL");
    await running.ended;
  };
  t.after(kill);
  return {
    url: `redis://127.0.0.1:${port}`,
    kill,
    async start() {
      running = await start();
    },
    signal: (name) => void running.child.kill(name),
  };
}
