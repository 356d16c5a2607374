import { type FastifyInstance, fastify } from "fastify";
import { allowFewConnections } from "../platform/few-connections.ts";
import { NO_SCHEMAS } from "./no-schemas.ts";
import { UNREADABLE_PATHS } from "./not-found.ts";

/**
 * What listens on `--http-addr`, from the first moment of the start on. `/live` says no more than that the program answers, whatever it
 * waits for.
 */
export interface ReadinessServer {
  readonly app: FastifyInstance;
  /** What is being waited for; null once nothing is. */
  notReady(): string | null;
  waitFor(reason: () => string): void;
  ready(): void;
  /** Lets another app, which never listens itself, answer every request from now on. */
  handOver(app: FastifyInstance): Promise<void>;
}

/** Until there is who answers, `/ready` and all else say 503 and the reason, so that a slow start can be understood. */
export function createReadinessServer(): ReadinessServer {
  let reason: (() => string) | null = () => "it has just started";
  let next: FastifyInstance | undefined;
  const app = fastify({
    schemaController: NO_SCHEMAS,
    ...UNREADABLE_PATHS,
    requestTimeout: 30_000,
    forceCloseConnections: true,
  });
  allowFewConnections(app.server);
  // In front of any reading of bodies, which are the other app's.
  app.addHook("onRequest", async (request, reply) => {
    if (next === undefined || request.url === "/live") return;
    reply.hijack();
    next.routing(request.raw, reply.raw);
  });
  const notReady = () => reason?.() ?? null;
  app.get("/live", () => ({ live: true }));
  app.setNotFoundHandler((_request, reply) => reply.code(503).send({ ready: false, reason: notReady() }));
  return {
    app,
    notReady,
    waitFor(what) {
      reason = what;
    },
    ready() {
      reason = null;
    },
    async handOver(other) {
      await other.ready();
      next = other;
    },
  };
}
