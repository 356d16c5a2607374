import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import type { JsonObject } from "@bufbuild/protobuf";
import type { Cleanup } from "./cleanup.ts";
import { until } from "./until.ts";

/**
 * The real Envoy for tests: `test("…", { skip: envoyMissing() }, async (t) => { const envoy = await startEnvoy(t, …)`.
 */

/** False where there is an Envoy to test with, else why not: what `skip` of node:test takes. */
export function envoyMissing(): string | false {
  const path = envoyPath();
  return existsSync(path) ? false : `no Envoy at ${path}: run make setup, or set ENVOY`;
}

export function envoyPath(): string {
  return process.env.ENVOY ?? fileURLToPath(new URL("../../.cache/envoy/bin/envoy", import.meta.url));
}

export interface RunningEnvoy {
  readonly process: ChildProcess;
  /** `http://127.0.0.1:PORT` of the admin interface. */
  readonly adminUrl: string;
  /** Body of an admin page, such as `/config_dump`; rejects for any status but 200. */
  admin(path: string, method?: "GET" | "POST"): Promise<string>;
  /** Value of a counter or gauge, 0 where Envoy does not know it (yet). */
  stat(name: string): Promise<number>;
  /** The port that a listener bound to port 0 was given. */
  listenerPort(name: string): Promise<number>;
  /** All that it has written so far. */
  log(): string;
  stop(): Promise<void>;
}

export interface EnvoyOptions {
  /** `live` waits until every listener and cluster is there (default), `started` only for the admin interface. */
  readonly wait?: "live" | "started";
  readonly logLevel?: "trace" | "debug" | "info" | "warning" | "error";
  /** Further arguments. */
  readonly args?: readonly string[];
}

/** What takes a second or two of its own may take long beside others; one that ends is noticed at once. */
const PATIENCE_MS = 150_000;

/**
 * Starts Envoy with `bootstrap`, whose `admin` may be left out, and stops it behind the test. Where the test failed,
 * Envoy's log becomes part of its output. Rejects, with the log, where Envoy ends or does not come up in time.
 */
export async function startEnvoy(
  t: Cleanup & Partial<Pick<TestContext, "diagnostic">> & { readonly passed?: boolean },
  bootstrap: JsonObject,
  options: EnvoyOptions = {},
): Promise<RunningEnvoy> {
  const folder = mkdtempSync(join(tmpdir(), "trysail-envoy-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const config = join(folder, "envoy.json");
  const addressFile = join(folder, "admin-address");
  const admin = { address: { socket_address: { address: "127.0.0.1", port_value: 0 } } };
  writeFileSync(config, JSON.stringify({ admin, ...bootstrap }));

  const child = spawn(
    envoyPath(),
    [
      ...["-c", config, "--admin-address-path", addressFile, "--use-dynamic-base-id", "--concurrency", "1"],
      ...["--log-level", options.logLevel ?? "warning", ...(options.args ?? [])],
    ],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  let log = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      log += text;
    });
  }
  const ended = new Promise<void>((resolve) => {
    child.once("error", (error) => {
      log += `${error.message}\n`;
      resolve();
    });
    child.once("exit", () => resolve());
  });
  const stop = async () => {
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), 3000);
    await ended;
    clearTimeout(timer);
  };
  t.after(async () => {
    await stop();
    if (t.passed === false) t.diagnostic?.(`Envoy's log:\n${log}`);
  });

  let adminUrl = "";
  const page = async (path: string, method: "GET" | "POST" = "GET") => {
    const response = await fetch(`${adminUrl}${path}`, { method });
    const body = await response.text();
    if (response.status !== 200) throw new Error(`${path}: ${response.status} ${body}`);
    return body;
  };
  const up = async () => {
    if (child.exitCode !== null || child.pid === undefined) return "ended";
    adminUrl = `http://${readFileSync(addressFile, "utf8").trim()}`;
    await page(options.wait === "started" ? "/server_info" : "/ready");
    return "up";
  };
  const state = await until("Envoy to come up", up, { timeoutMs: PATIENCE_MS }).catch(String);
  if (state !== "up") throw new Error(`Envoy did not start: ${state}\n${log}`);

  return {
    process: child,
    adminUrl,
    admin: page,
    async stat(name) {
      const lines = (await page(`/stats?filter=${name}`)).split("\n");
      const line = lines.find((line) => line.startsWith(`${name}: `));
      return Number(line?.slice(name.length + 2) ?? 0);
    },
    async listenerPort(name) {
      const listeners: ListenerStatuses = JSON.parse(await page("/listeners?format=json"));
      const found = listeners.listener_statuses?.find((listener) => listener.name === name);
      if (found === undefined) throw new Error(`Envoy has no listener ${name}`);
      return found.local_address.socket_address.port_value;
    },
    log: () => log,
    stop,
  };
}

interface ListenerStatuses {
  readonly listener_statuses?: readonly {
    readonly name: string;
    readonly local_address: { readonly socket_address: { readonly port_value: number } };
  }[];
}

/** What `envoy --mode validate` says against a bootstrap: null where it accepts it, else its words. */
export async function validateConfig(bootstrap: JsonObject | string): Promise<string | null> {
  const folder = mkdtempSync(join(tmpdir(), "trysail-envoy-"));
  try {
    const config = join(folder, "envoy.json");
    writeFileSync(config, typeof bootstrap === "string" ? bootstrap : JSON.stringify(bootstrap));
    return await new Promise((resolve) => {
      const args = [
        "--mode",
        "validate",
        "-c",
        config,
        "--use-dynamic-base-id",
        "--concurrency",
        "1",
        "--log-level",
        "error",
      ];
      execFile(envoyPath(), args, { timeout: PATIENCE_MS }, (error, stdout, stderr) => {
        resolve(error === null ? null : stdout + stderr || error.message);
      });
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
