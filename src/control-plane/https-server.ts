import type { IncomingMessage, ServerResponse } from "node:http";
import { Server } from "node:https";
import type { Socket } from "node:net";
import { type FastifyInstance, type FastifyPluginAsync, fastify } from "fastify";
import type { KeyAndCertificate } from "../ca/serving/serving-certificate.ts";
import { clientTrustOptions, followClients } from "../platform/client-trust.ts";
import { type ConnectionGuard, type ConnectionGuardOptions, guardConnections } from "../platform/connection-guard.ts";
import type { TrustBundle } from "../platform/trust-bundle.ts";
import { NO_SCHEMAS } from "./no-schemas.ts";
import { answerNotFound, UNREADABLE_PATHS } from "./not-found.ts";

/** What the parser says of a caller that goes in the middle of a request, or goes on with one that was refused already. */
const CUT_OFF: ReadonlySet<string> = new Set(["HPE_INVALID_EOF_STATE", "HPE_CLOSED_CONNECTION"]);

export interface HttpsServer {
  readonly app: FastifyInstance;
  /** For new connections. */
  setCertificate(certificate: KeyAndCertificate): void;
  /** New connections are judged by this, and those that it may not allow end. */
  setClientTrust(trust: TrustBundle): void;
}

/** What Kubernetes' API server and the CA's clients call. Bodies and headers are capped before they are decoded. */
export async function createHttpsServer(
  certificate: KeyAndCertificate,
  routes: readonly FastifyPluginAsync[],
  initialTrust: TrustBundle,
  connections: ConnectionGuardOptions = {},
): Promise<HttpsServer> {
  let presented = certificate;
  let clientTrust = initialTrust;
  const app = fastify({
    schemaController: NO_SCHEMAS,
    ...UNREADABLE_PATHS,
    // Asked for and judged by each route: most callers come without one.
    https: {
      ...tlsOptions(presented, clientTrust),
      ...{ requestCert: true, rejectUnauthorized: false },
      handshakeTimeout: 10_000,
      connectionsCheckingInterval: 5_000,
    },
    bodyLimit: 1024 * 1024,
    requestTimeout: 30_000,
    keepAliveTimeout: 120_000,
    forceCloseConnections: "idle",
  });
  answerNotFound(app);
  let guard: ConnectionGuard | undefined;
  // Fastify closes what is idle behind an answer; those who never asked, or only begin to, would be waited for.
  app.addHook("preClose", async () => guard?.stop());
  for (const route of routes) await app.register(route);
  await app.ready();
  const { server } = app;
  if (!(server instanceof Server)) throw new TypeError("not a server with TLS");
  const clients = followClients(server);
  guard = boundUnanswered(server, connections);
  // No request, so that no route counts it. Fastify answers it, and closes the connection.
  server.prependListener("clientError", (error: NodeJS.ErrnoException, socket: Socket) => {
    const { code = "" } = error;
    if (code.startsWith("HPE_") && !CUT_OFF.has(code)) connections.onRefused?.("malformed", socket.remoteAddress);
  });
  return {
    app,
    setCertificate(renewed) {
      server.setSecureContext(tlsOptions(renewed, clientTrust));
      presented = renewed;
    },
    setClientTrust(next) {
      server.setSecureContext(tlsOptions(presented, next));
      clients.trustChanged(clientTrust, next);
      clientTrust = next;
    },
  };
}

/**
 * Most who call here, an API server among them, show nothing of themselves, so that all are strangers by their number;
 * whoever has asked nothing yet is one by his time, and whoever has an answer to come by his bytes, until it is given.
 */
function boundUnanswered(server: Server, connections: ConnectionGuardOptions): ConnectionGuard {
  const guard = guardConnections(server, connections);
  const { strangers } = guard;
  /** The last of the requests that a client may send without awaiting the answer to the one before. */
  const latest = new WeakMap<Socket, ServerResponse>();
  server.on("request", ({ socket }: IncomingMessage, response: ServerResponse) => {
    latest.set(socket, response);
    // How long the request itself may take is for `requestTimeout` to say.
    strangers.add(socket, Number.POSITIVE_INFINITY);
    response.once("close", () => {
      if (latest.get(socket) !== response) return;
      strangers.remove(socket);
      // Else the connection would hold on to the request, with its token.
      latest.delete(socket);
    });
  });
  return guard;
}

function tlsOptions({ chainPem, keyPem }: KeyAndCertificate, trust: TrustBundle) {
  const minVersion = "TLSv1.2" as const;
  return { cert: chainPem, key: Buffer.from(keyPem.reveal()), ...clientTrustOptions(trust), minVersion };
}
