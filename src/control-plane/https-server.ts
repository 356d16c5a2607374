import { Server } from "node:https";
import { type FastifyInstance, type FastifyPluginAsync, fastify } from "fastify";
import type { KeyAndCertificate } from "../ca/serving/serving-certificate.ts";

export interface HttpsServer {
  readonly app: FastifyInstance;
  /** New connections get the new certificate, and are judged by the roots of this moment. */
  setCertificate(certificate: KeyAndCertificate): void;
}

/** What Kubernetes' API server and the CA's clients call. Bodies and headers are capped before they are decoded. */
export async function createHttpsServer(
  certificate: KeyAndCertificate,
  routes: readonly FastifyPluginAsync[],
  clientRootsPem: () => string,
): Promise<HttpsServer> {
  const app = fastify({
    // Asked for and judged by each route: most callers come without one.
    https: { ...tlsOptions(certificate, clientRootsPem()), requestCert: true, rejectUnauthorized: false },
    bodyLimit: 1024 * 1024,
    requestTimeout: 30_000,
    keepAliveTimeout: 120_000,
    forceCloseConnections: "idle",
  });
  for (const route of routes) await app.register(route);
  await app.ready();
  return {
    app,
    setCertificate(renewed) {
      if (app.server instanceof Server) app.server.setSecureContext(tlsOptions(renewed, clientRootsPem()));
    },
  };
}

function tlsOptions({ chainPem, keyPem }: KeyAndCertificate, clientRootsPem: string) {
  const minVersion = "TLSv1.2" as const;
  return { cert: chainPem, key: Buffer.from(keyPem.reveal()), ca: clientRootsPem, minVersion };
}
