import { execFile } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const BUILT = fileURLToPath(new URL("../../.cache/kubernetes/bin/helm", import.meta.url));
export const CHART = fileURLToPath(new URL("../../charts/trysail", import.meta.url));
const EARLIER_CHARTS = new URL("../chart/earlier/", import.meta.url);
export const GATEWAY_CHART = fileURLToPath(new URL("../../charts/gateway", import.meta.url));
export const RATE_LIMIT_CHART = fileURLToPath(new URL("../../charts/ratelimit", import.meta.url));

/** Why tests with Helm are skipped here, or false. */
export const helmMissing = existsSync(BUILT)
  ? false
  : "no Helm: test/cluster/build.sh helm builds it where there is Go";

/** The chart of the release before, as `make keep-chart` packed it. */
export function previousChart(): string {
  const newest = readdirSync(EARLIER_CHARTS)
    .filter((name) => name.endsWith(".tgz"))
    .sort((a, b) => a.localeCompare(b, "en", { numeric: true }))
    .at(-1);
  if (newest === undefined) throw new Error("no chart of an earlier release is kept");
  return fileURLToPath(new URL(newest, EARLIER_CHARTS));
}

/** Runs Helm to its end and hands out what it printed; rejects with what it complained about. */
export async function helm(...args: readonly string[]): Promise<string> {
  const { stdout } = await run(BUILT, [...args], { maxBuffer: 64 * 1024 * 1024, timeout: 120_000 });
  return stdout;
}
