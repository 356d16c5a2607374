import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** False where there is a Prometheus to test with, else why not: what `skip` of node:test takes. */
export function prometheusMissing(): string | false {
  const path = prometheusPath();
  return existsSync(path) ? false : `no Prometheus at ${path}: run make setup, or set PROMETHEUS`;
}

export function prometheusPath(): string {
  return process.env.PROMETHEUS ?? fileURLToPath(new URL("../../.cache/prometheus/prometheus", import.meta.url));
}
