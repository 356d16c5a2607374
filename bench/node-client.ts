/**
 * Plays many proxies against a control plane where there is no Go to build bench/meshload: the same measurements, the
 * same flags (`-mode xds` and `push`).
 */
import { existsSync, statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { openProxy } from "./node-proxy.ts";

const QUIET_MS = 2000;

interface Progress {
  syncedMs: number | null;
  /** Of the last answer. */
  lastMs: number;
  bytes: number;
  /** Wall clock, to be compared with a file's mtime. */
  hitAt: number | null;
}

function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(share * (sorted.length - 1))] ?? -1;
}

async function main(): Promise<void> {
  const { values: flags } = parseArgs({
    // Go's flags have one dash.
    args: process.argv.slice(2).map((word) => word.replace(/^-(?=[a-z])/, "--")),
    options: {
      mode: { type: "string", default: "xds" },
      target: { type: "string", default: "127.0.0.1:15010" },
      clients: { type: "string", default: "100" },
      wait: { type: "string", default: "60s" },
      delta: { type: "boolean", default: false },
      watch: { type: "string", default: "" },
      trigger: { type: "string", default: "" },
    },
  });
  const { target, delta } = flags;
  const watch = Buffer.from(flags.watch);
  const waitMs = Number.parseFloat(flags.wait) * 1000;
  const waitFor = async (what: () => boolean) => {
    const deadline = performance.now() + waitMs;
    while (!what() && performance.now() < deadline) await sleep(5);
  };

  const began = performance.now();
  const elapsed = () => performance.now() - began;
  const names = new Map<string, string[]>();
  let errors = 0;
  const proxies = Array.from({ length: Number(flags.clients) }, (_, index) => {
    const progress: Progress = { syncedMs: null, lastMs: 0, bytes: 0, hitAt: null };
    openProxy({
      ...{ target, delta, index, names },
      onAnswer(message) {
        progress.lastMs = elapsed();
        progress.bytes += message.length;
        if (progress.hitAt === null && watch.length > 0 && message.includes(watch)) progress.hitAt = Date.now();
      },
      onSynced() {
        progress.syncedMs ??= elapsed();
      },
      onError(message) {
        if (++errors < 3) console.error(`client ${index}: ${message}`);
      },
    });
    return progress;
  });

  await waitFor(() => proxies.filter((proxy) => proxy.syncedMs !== null).length + errors >= proxies.length);
  const synced = proxies.flatMap(({ syncedMs }) => (syncedMs === null ? [] : [syncedMs]));
  const result = {
    mode: flags.mode,
    delta,
    clients: proxies.length,
    synced: synced.length,
    errors,
    first_ms: percentile(synced, 0),
    p50_ms: percentile(synced, 0.5),
    p99_ms: percentile(synced, 0.99),
    max_ms: percentile(synced, 1),
    MB: proxies.reduce((sum, proxy) => sum + proxy.bytes, 0) / 1e6,
  };
  if (flags.mode !== "push") {
    console.log(JSON.stringify(result));
    return;
  }

  await waitFor(() => proxies.every((proxy) => elapsed() - proxy.lastMs > QUIET_MS));
  for (const proxy of proxies) proxy.hitAt = null;
  console.log("settled");
  await waitFor(() => existsSync(flags.trigger));
  const triggeredAt = statSync(flags.trigger).mtimeMs;
  await waitFor(() => proxies.every((proxy) => proxy.hitAt !== null));
  const reached = proxies.flatMap(({ hitAt }) => (hitAt === null ? [] : [hitAt - triggeredAt]));
  console.log(
    JSON.stringify({
      ...result,
      push_reached: reached.length,
      push_p50_ms: percentile(reached, 0.5),
      push_p99_ms: percentile(reached, 0.99),
      push_max_ms: percentile(reached, 1),
    }),
  );
}

await main();
process.exit(0);
