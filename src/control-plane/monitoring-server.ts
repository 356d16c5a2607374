import { type FastifyInstance, fastify } from "fastify";
import type { Registry } from "prom-client";
import { allowFewConnections } from "../platform/few-connections.ts";
import { NO_SCHEMAS } from "./no-schemas.ts";
import { answerNotFound, UNREADABLE_PATHS } from "./not-found.ts";

/** `/metrics` in Prometheus' text format. */
export function createMonitoringServer(registry: Registry): FastifyInstance {
  const app = fastify({
    schemaController: NO_SCHEMAS,
    ...UNREADABLE_PATHS,
    bodyLimit: 64 * 1024,
    requestTimeout: 30_000,
    forceCloseConnections: true,
  });
  allowFewConnections(app.server);
  answerNotFound(app);
  app.get("/metrics", async (_request, reply) => {
    reply.header("content-type", registry.contentType);
    return registry.metrics();
  });
  return app;
}
