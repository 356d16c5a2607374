import { TLSSocket } from "node:tls";
import type { FastifyRequest } from "fastify";
import { bearerToken, type Credentials } from "../ca/caller/authenticate.ts";

/** What an HTTPS caller shows of itself. */
export function requestCredentials(request: FastifyRequest): Credentials {
  const clusterId = request.headers["x-cluster-id"];
  return {
    token: bearerToken(request.headers.authorization),
    clusterId: typeof clusterId === "string" ? clusterId : undefined,
    address: request.ip,
    clientCertificate() {
      const { socket } = request.raw;
      // A certificate that TLS did not verify is none.
      return socket instanceof TLSSocket && socket.authorized ? socket.getPeerX509Certificate() : undefined;
    },
  };
}
