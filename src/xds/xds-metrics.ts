import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { TypeUrl } from "./resource-set.ts";
import type { Protocol } from "./response-encoder.ts";
import { shortTypeName } from "./sync-status.ts";

/** What the streams count. */
export interface XdsMetrics {
  /** From now on, what waits is read when somebody asks for it. */
  follow(load: () => PushLoad): void;
  connected(protocol: Protocol, change: 1 | -1): void;
  pushed(typeUrl: TypeUrl, bytes: number): void;
  rejected(typeUrl: TypeUrl): void;
  /** From the first change that a proxy had not seen until it had answered everything. */
  converged(durationMs: number): void;
  /** From when a change of the mesh was first seen until the last proxy had answered for it. */
  changeConverged(durationMs: number): void;
}

/** What waits at this moment. */
export interface PushLoad {
  /** Streams that were told of a change and have not looked at it yet. */
  readonly changed: number;
  /** Streams that may have something to send, and wait until the network has taken what others were sent. */
  readonly sending: number;
  readonly bytesInFlight: number;
}

const IDLE: PushLoad = { changed: 0, sending: 0, bytesInFlight: 0 };
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export function createXdsMetrics(registry: Registry): XdsMetrics {
  const registers = [registry];
  let load = () => IDLE;
  const proxies = new Gauge({
    name: "trysail_xds_proxies",
    help: "Proxies connected now",
    labelNames: ["protocol"],
    registers,
  });
  new Gauge({
    name: "trysail_push_queue",
    help: "Streams that wait now: to look at a change, or to send",
    labelNames: ["stage"],
    registers,
    collect() {
      const { changed, sending } = load();
      this.set({ stage: "change" }, changed);
      this.set({ stage: "send" }, sending);
    },
  });
  new Gauge({
    name: "trysail_push_bytes_in_flight",
    help: "Bytes of responses that the network has not taken yet",
    registers,
    collect() {
      this.set(load().bytesInFlight);
    },
  });
  const responses = new Counter({
    name: "trysail_push_responses_total",
    help: "Responses sent to proxies",
    labelNames: ["type"],
    registers,
  });
  const bytes = new Counter({
    name: "trysail_push_bytes_total",
    help: "Bytes of responses sent to proxies",
    labelNames: ["type"],
    registers,
  });
  const rejects = new Counter({
    name: "trysail_push_rejects_total",
    help: "Responses that proxies rejected",
    labelNames: ["type"],
    registers,
  });
  const proxyConvergence = new Histogram({
    name: "trysail_push_proxy_convergence_seconds",
    help: "Time from a change until a proxy has accepted or rejected all of it",
    buckets: SECONDS,
    registers,
  });
  const convergence = new Histogram({
    name: "trysail_push_convergence_seconds",
    help: "Time from when a change was first seen until the last proxy has accepted or rejected what it meant for it",
    buckets: SECONDS,
    registers,
  });
  return {
    follow(read) {
      load = read;
    },
    connected: (protocol, change) => proxies.inc({ protocol }, change),
    pushed(typeUrl, size) {
      const type = shortTypeName(typeUrl);
      responses.inc({ type });
      bytes.inc({ type }, size);
    },
    rejected: (typeUrl) => rejects.inc({ type: shortTypeName(typeUrl) }),
    converged: (durationMs) => proxyConvergence.observe(durationMs / 1000),
    changeConverged: (durationMs) => convergence.observe(durationMs / 1000),
  };
}
