import { type FastifyInstance, type FastifyRequest, fastify } from "fastify";
import { type Authenticate, bearerToken } from "../ca/caller/authenticate.ts";
import { TrysailError } from "../platform/errors.ts";
import { NO_SCHEMAS } from "./no-schemas.ts";
import { answerNotFound, UNREADABLE_PATHS } from "./not-found.ts";

export interface DebugDeps {
  readonly authenticate: Authenticate;
  /** Whose workloads see every namespace. */
  readonly adminNamespace: string;
  /** Null while not ready, with the reason. */
  notReady(): string | null;
  /** By page: rows, each with the namespace it belongs to (empty where it belongs to none). */
  readonly pages: Readonly<Record<string, () => readonly DebugRow[] | Promise<readonly DebugRow[]>>>;
}

export interface DebugRow {
  readonly namespace: string;
  /** What is shown. */
  readonly row: object;
}

/**
 * `/ready`, and `/debug/…` for callers with a workload token: the control plane's own namespace sees all rows, any
 * other its own. Being on the same machine is no privilege.
 */
export function createDebugServer(deps: DebugDeps): FastifyInstance {
  const app = fastify({
    schemaController: NO_SCHEMAS,
    ...UNREADABLE_PATHS,
    bodyLimit: 64 * 1024,
    requestTimeout: 30_000,
    forceCloseConnections: "idle",
    routerOptions: { ignoreTrailingSlash: true },
  });

  answerNotFound(app);
  app.get("/ready", (_request, reply) => {
    const reason = deps.notReady();
    return reply.code(reason === null ? 200 : 503).send({ ready: reason === null, reason });
  });

  app.setErrorHandler((error, _request, reply) => {
    if (error instanceof TrysailError && error.code === "unauthenticated") {
      return reply.code(401).header("www-authenticate", "Bearer").send({ error: error.message });
    }
    if (error instanceof TrysailError && error.code === "permission-denied") {
      return reply.code(403).send({ error: error.message });
    }
    // What Fastify itself refuses: a body that is too large, a length that is wrong.
    if (error instanceof Error && "statusCode" in error && isClientError(error.statusCode)) {
      return reply.code(error.statusCode).send({ error: error.message });
    }
    return reply.code(500).send({ error: "internal error" });
  });

  app.get("/debug", async (request) => {
    await visibility(request, deps);
    return Object.keys(deps.pages).map((page) => `/debug/${page}`);
  });
  for (const [page, rows] of Object.entries(deps.pages)) {
    app.get(`/debug/${page}`, async (request) => {
      const sees = await visibility(request, deps);
      return (await rows()).filter(({ namespace }) => sees(namespace)).map(({ row }) => row);
    });
  }
  return app;
}

async function visibility(request: FastifyRequest, deps: DebugDeps): Promise<(namespace: string) => boolean> {
  const identity = await deps.authenticate({ token: bearerToken(request.headers.authorization) });
  return identity.namespace === deps.adminNamespace ? () => true : (namespace) => namespace === identity.namespace;
}

function isClientError(status: unknown): status is number {
  return typeof status === "number" && status >= 400 && status < 500;
}
