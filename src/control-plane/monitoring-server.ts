import { type FastifyInstance, fastify } from "fastify";
import type { Registry } from "prom-client";
import { answerNotFound } from "./not-found.ts";

/** `/metrics` in Prometheus' text format. */
export function createMonitoringServer(registry: Registry): FastifyInstance {
  const app = fastify({ bodyLimit: 64 * 1024, requestTimeout: 30_000, forceCloseConnections: "idle" });
  answerNotFound(app);
  app.get("/metrics", async (_request, reply) => {
    reply.header("content-type", registry.contentType);
    return registry.metrics();
  });
  return app;
}
