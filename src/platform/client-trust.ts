import { constants, X509Certificate } from "node:crypto";
import type { DetailedPeerCertificate, SecureContextOptions, Server, TLSSocket } from "node:tls";
import type { TrustBundle } from "./trust-bundle.ts";

/**
 * By what a TLS server judges its clients, as options of Node's TLS. In TLS 1.2 a client could otherwise negotiate anew,
 * and show another certificate than the one that Node has called authorized when the connection began.
 */
export function clientTrustOptions(trust: TrustBundle): SecureContextOptions {
  // Of one text Node reads the first list alone.
  const lists = trust.revocationListsPem.match(LIST);
  return {
    ca: trust.rootsPem,
    ...(lists !== null && { crl: [...lists] }),
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  };
}

/** The clients of a TLS server that have shown a certificate, for as long as they are connected. */
export interface FollowedClients {
  /**
   * Ends the connections that the new trust may not allow: TLS judges a certificate once, when a connection begins, and
   * whoever stays must not keep what has been taken away since. Clients that are still trusted come back.
   */
  trustChanged(before: TrustBundle, now: TrustBundle): void;
}

export function followClients(server: Server): FollowedClients {
  /** The fingerprint of the root that each of them was judged by; of something else where a session was resumed. */
  const roots = new Map<TLSSocket, string>();
  server.on("secureConnection", (socket) => {
    // Whoever shows none, or one that did not verify, is known by other credentials.
    if (!socket.authorized || socket.getPeerX509Certificate() === undefined) return;
    roots.set(socket, topOf(socket.getPeerCertificate(true)).fingerprint256);
    socket.once("close", () => roots.delete(socket));
  });
  return {
    trustChanged(before, now) {
      const areListsOthers = before.revocationListsPem !== now.revocationListsPem;
      const trusted = new Set(fingerprintsOf(now.rootsPem));
      if (!areListsOthers && fingerprintsOf(before.rootsPem).every((root) => trusted.has(root))) return;
      for (const [socket, root] of roots) if (areListsOthers || !trusted.has(root)) socket.destroy();
    },
  };
}

/** Node ends a chain with a certificate that is its own issuer. */
function topOf(certificate: DetailedPeerCertificate): DetailedPeerCertificate {
  let top = certificate;
  while (top.issuerCertificate !== undefined && top.issuerCertificate !== top) top = top.issuerCertificate;
  return top;
}

const LIST = /-----BEGIN X509 CRL-----[^-]*-----END X509 CRL-----/g;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

function fingerprintsOf(pem: string): string[] {
  return (pem.match(CERTIFICATE) ?? []).map((one) => new X509Certificate(one).fingerprint256);
}
