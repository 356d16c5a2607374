import { type FastifyInstance, fastify } from "fastify";
import type { Registry } from "prom-client";

/** `/metrics` in Prometheus' text format. */
export function createMonitoringServer(registry: Registry): FastifyInstance {
  const app = fastify({ bodyLimit: 64 * 1024, requestTimeout: 30_000, forceCloseConnections: "idle" });
  app.get("/metrics", async (_request, reply) => {
    reply.header("content-type", registry.contentType);
    return registry.metrics();
  });
  return app;
}
