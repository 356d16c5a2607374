import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** The program that plays the proxies, in a process of its own so that its work is not the server's. */
export interface LoadClient {
  readonly name: "go" | "node";
  readonly command: readonly string[];
}

/** What both clients print; times in ms. */
export interface LoadResult {
  readonly clients: number;
  readonly synced: number;
  readonly errors: number;
  readonly p99_ms: number;
  readonly max_ms: number;
  readonly MB: number;
  readonly push_reached?: number;
  readonly push_p50_ms?: number;
  readonly push_p99_ms?: number;
  readonly push_max_ms?: number;
}

/** bench/meshload where there is Go to build it, else bench/node-client.ts. */
export async function findLoadClient(wanted: "go" | "node" | undefined): Promise<LoadClient> {
  const node: LoadClient = { name: "node", command: [process.execPath, here("./node-client.ts")] };
  if (wanted === "node") return node;
  const binary = here("../.cache/meshload");
  try {
    await promisify(execFile)("go", ["build", "-o", binary, "."], { cwd: here("./meshload") });
  } catch (thrown) {
    if (wanted === "go") throw thrown;
    return node;
  }
  return existsSync(binary) ? { name: "go", command: [binary] } : node;
}

export interface LoadCase {
  readonly target: string;
  readonly clients: number;
  readonly delta: boolean;
}

/** Connects all clients at once and waits until each has clusters, endpoints, listeners and routes. */
export function runSync(client: LoadClient, load: LoadCase): Promise<LoadResult> {
  return runClient<LoadResult>(client, ["-mode", "xds", ...caseFlags(load)]);
}

/**
 * The same, then waits for quiet, does what comes `before`, makes `change` and measures from that moment until each
 * client was sent a resource that contains `watch`.
 */
export function runPush(
  client: LoadClient,
  load: LoadCase & { watch: string; scratch: string; before?: () => Promise<void>; change: () => Promise<void> },
): Promise<LoadResult> {
  const trigger = join(load.scratch, `trigger-${Date.now()}`);
  const flags = ["-mode", "push", "-watch", load.watch, "-trigger", trigger, ...caseFlags(load)];
  return runClient<LoadResult>(client, flags, async () => {
    await load.before?.();
    await writeFile(trigger, ""); // its mtime starts the clock, so it comes first
    await load.change();
  });
}

function caseFlags({ target, clients, delta }: LoadCase): string[] {
  return ["-target", target, "-clients", String(clients), "-wait", "60s", ...(delta ? ["-delta"] : [])];
}

/** Runs the client to its end and resolves with the line of JSON that it prints. */
export async function runClient<T>(
  client: LoadClient,
  flags: readonly string[],
  onSettled: () => Promise<void> = async () => {},
): Promise<T> {
  const [program = "", ...first] = client.command;
  const child = spawn(program, [...first, ...flags], { stdio: ["ignore", "pipe", "inherit"] });
  let result: T | undefined;
  for await (const line of createInterface({ input: child.stdout })) {
    if (line === "settled") await onSettled();
    else result = JSON.parse(line);
  }
  if (result === undefined) throw new Error(`${client.name} client printed no result`);
  return result;
}
