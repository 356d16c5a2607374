import { Server } from "node:https";
import { type FastifyInstance, type FastifyPluginAsync, fastify } from "fastify";
import type { KeyAndCertificate } from "../ca/serving/serving-certificate.ts";
import { clientTrustOptions, followClients } from "../platform/client-trust.ts";
import type { TrustBundle } from "../platform/trust-bundle.ts";

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
): Promise<HttpsServer> {
  let presented = certificate;
  let clientTrust = initialTrust;
  const app = fastify({
    // Asked for and judged by each route: most callers come without one.
    https: { ...tlsOptions(presented, clientTrust), requestCert: true, rejectUnauthorized: false },
    bodyLimit: 1024 * 1024,
    requestTimeout: 30_000,
    keepAliveTimeout: 120_000,
    forceCloseConnections: "idle",
  });
  for (const route of routes) await app.register(route);
  await app.ready();
  const { server } = app;
  if (!(server instanceof Server)) throw new TypeError("not a server with TLS");
  const clients = followClients(server);
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

function tlsOptions({ chainPem, keyPem }: KeyAndCertificate, trust: TrustBundle) {
  const minVersion = "TLSv1.2" as const;
  return { cert: chainPem, key: Buffer.from(keyPem.reveal()), ...clientTrustOptions(trust), minVersion };
}
