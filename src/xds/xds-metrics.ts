import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { TypeUrl } from "./resource-set.ts";
import type { Protocol } from "./response-encoder.ts";
import { shortTypeName } from "./sync-status.ts";

/** What the streams count. */
export interface XdsMetrics {
  connected(protocol: Protocol, change: 1 | -1): void;
  pushed(typeUrl: TypeUrl, bytes: number): void;
  rejected(typeUrl: TypeUrl): void;
  /** From the first change that a proxy had not seen until it had answered everything. */
  converged(durationMs: number): void;
}

export function createXdsMetrics(registry: Registry): XdsMetrics {
  const registers = [registry];
  const proxies = new Gauge({
    name: "trysail_xds_proxies",
    help: "Proxies connected now",
    labelNames: ["protocol"],
    registers,
  });
  const pushes = new Counter({
    name: "trysail_xds_pushes",
    help: "Responses sent to proxies",
    labelNames: ["type"],
    registers,
  });
  const bytes = new Counter({
    name: "trysail_xds_push_bytes",
    help: "Bytes of responses sent to proxies",
    labelNames: ["type"],
    registers,
  });
  const rejects = new Counter({
    name: "trysail_xds_rejects",
    help: "Responses that proxies rejected",
    labelNames: ["type"],
    registers,
  });
  const convergence = new Histogram({
    name: "trysail_xds_convergence_seconds",
    help: "Time from a change until a proxy has accepted or rejected all of it",
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  });
  return {
    connected: (protocol, change) => proxies.inc({ protocol }, change),
    pushed(typeUrl, size) {
      const type = shortTypeName(typeUrl);
      pushes.inc({ type });
      bytes.inc({ type }, size);
    },
    rejected: (typeUrl) => rejects.inc({ type: shortTypeName(typeUrl) }),
    converged: (durationMs) => convergence.observe(durationMs / 1000),
  };
}
