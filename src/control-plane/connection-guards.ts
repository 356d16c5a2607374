import { Counter } from "prom-client";
import type { ServeConfig } from "../config.ts";
import type { ConnectionGuardOptions } from "../platform/connection-guard.ts";
import type { Platform } from "../platform/platform.ts";

export interface ConnectionGuardsDeps {
  readonly config: Pick<ServeConfig, "maxConnections" | "maxConnectionsPerAddress">;
  readonly platform: Pick<Platform, "registry" | "log">;
}

/** What callers may take of a port, and where it is told of those that wanted more. */
export function createConnectionGuards({
  config,
  platform: { registry, log },
}: ConnectionGuardsDeps): (port: "grpc" | "https") => ConnectionGuardOptions {
  const refusals = new Counter({
    name: "trysail_connections_refused_total",
    help: "Connections that were refused, or closed before their caller was known, by port and reason",
    labelNames: ["port", "reason"],
    registers: [registry],
  });
  return (port) => ({
    limits: { total: config.maxConnections, perAddress: config.maxConnectionsPerAddress },
    onRefused(reason, peer) {
      refusals.inc({ port, reason });
      log.debug({ port, reason, peer }, "connection refused");
    },
  });
}
