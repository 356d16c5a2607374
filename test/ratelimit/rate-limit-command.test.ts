import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { RateLimitResponse_Code } from "../../src/gen/envoy/service/ratelimit/v3/rls_pb.ts";
import { rateLimit, rateLimitClient } from "../support/rate-limits.ts";
import { redisMissing, startRedis } from "../support/redis.ts";
import { temporaryPath } from "../support/state.ts";
import { until } from "../support/until.ts";

const PROGRAM = fileURLToPath(new URL("../../src/cli/trysail.ts", import.meta.url));
const AMOUNT = 50;

async function folderWith(t: TestContext, yaml: string): Promise<string> {
  const dir = await temporaryPath(t, "rate-limits");
  await mkdir(dir);
  await writeFile(join(dir, "all.yaml"), yaml);
  return dir;
}

interface Ports {
  readonly grpc: number;
  readonly monitoring: number;
}

/** One more process, on ports that the system chose. */
async function startProcess(t: TestContext, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const any = ["--grpc-addr", "127.0.0.1:0", "--monitoring-addr", "127.0.0.1:0"];
  const child: ChildProcess = spawn(process.execPath, [PROGRAM, "ratelimit", ...args, ...any], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, ...env },
  });
  const ended = once(child, "exit");
  t.after(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  let log = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  const read = () => {
    const line = log.split("\n").find((text) => text.includes('"msg":"ready"'));
    const parsed: { ports: Ports } | undefined = line === undefined ? undefined : JSON.parse(line);
    return parsed?.ports;
  };
  // A process that starts reads much, for which a busy machine may take long.
  const ports = await until("the ports", read, { timeoutMs: 90_000 }).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${log}`);
  });
  return { child, ended, ports, log: () => log };
}

test("two processes on one Redis count together, and each ends in peace", { skip: redisMissing() }, async (t) => {
  const { url } = await startRedis(t);
  const dir = await folderWith(
    t,
    rateLimit("api", { requests: [{ name: "all", scope: "GLOBAL", rate: { amount: AMOUNT, unit: "MONTH" } }] }),
  );
  const both = [
    await startProcess(t, ["--config-dir", dir, "--redis-url", url]),
    await startProcess(t, ["--config-dir", dir], { REDIS_URL: url }),
  ];
  const isReady = async ({ ports }: { ports: Ports }) =>
    (await fetch(`http://127.0.0.1:${ports.monitoring}/ready`)).status === 200;
  for (const one of both) await until("the store", () => isReady(one));
  const clients = both.map(({ ports }) => rateLimitClient(t, ports.grpc));
  const ask = { domain: "shop/api", descriptors: [{ entries: [{ key: "limit", value: "all" }] }] };
  const answers = await Promise.all(clients.flatMap((client) => Array.from({ length: AMOUNT }, () => client.ask(ask))));
  const allowed = answers.filter(({ overallCode }) => overallCode === RateLimitResponse_Code.OK);
  assert.equal(allowed.length, AMOUNT);
  for (const { child, ended, log } of both) {
    child.kill("SIGTERM");
    assert.deepEqual(await ended, [0, null], log());
  }
});

const wrong: readonly [args: readonly string[], words: RegExp][] = [
  [["--config-dir", "."], /where are the counts kept\? name --redis-url \(or REDIS_URL\), or --in-memory/],
  [["--in-memory"], /there is nothing to serve: name a folder/],
  [["--config-dir", ".", "--in-memory", "--redis-url", "redis://a"], /exclude each other/],
  [["--config-dir", ".", "--redis-url", "http://a"], /--redis-url is not like redis:/],
  [["--config-dir", ".", "--in-memory", "--grpc-addr", "nowhere"], /--grpc-addr: not an address/],
  [["--config-dir", ".", "--in-memory", "--log-level", "loud"], /--log-level loud is none of/],
];

for (const [args, words] of wrong) {
  test(`trysail ratelimit ${args.join(" ")} is refused in one line`, () => {
    const env = { ...process.env, REDIS_URL: "", KUBERNETES_SERVICE_HOST: "" };
    const { status, stderr } = spawnSync(process.execPath, [PROGRAM, "ratelimit", ...args], { encoding: "utf8", env });
    assert.equal(status, 1);
    assert.match(stderr, words);
    assert.equal(stderr.trimEnd().split("\n").length, 1, stderr);
  });
}

test("a port that is in use ends the start, naming the flag", async (t) => {
  const dir = await folderWith(t, "");
  const { ports } = await startProcess(t, ["--config-dir", dir, "--in-memory"]);
  const taken = ["--grpc-addr", `127.0.0.1:${ports.grpc}`, "--monitoring-addr", "127.0.0.1:0"];
  const { status, stderr } = spawnSync(
    process.execPath,
    [PROGRAM, "ratelimit", "--config-dir", dir, "--in-memory", "--log-level", "error", ...taken],
    { encoding: "utf8" },
  );
  assert.equal(status, 1);
  assert.match(stderr, /cannot listen on 127\.0\.0\.1:\d+.*--grpc-addr chooses another/);
});

test("the help says where counts are kept and what happens without them", () => {
  const { stdout } = spawnSync(process.execPath, [PROGRAM, "ratelimit", "--help"], { encoding: "utf8" });
  for (const words of ["--redis-url", "--in-memory", "failureMode", "Examples:"])
    assert.ok(stdout.includes(words), words);
});
