import { connect } from "node:tls";

export interface PresentedCertificate {
  readonly spiffeId: string;
  readonly serial: string;
  readonly expiresAt: Date;
}

/**
 * The certificate that a workload's proxy presents to another proxy at `ip`, read from a TLS handshake. Rejects where
 * there is none, or where it does not lead to `root`. Without a certificate of our own the proxy then ends the
 * connection, which in TLS 1.3 is behind what we came to see.
 */
export function presentedCertificate(ip: string, root: string): Promise<PresentedCertificate> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      ...{ host: ip, port: 9080, ca: root, timeout: 5000, minVersion: "TLSv1.3" },
      ALPNProtocols: ["istio"],
      // The names in it are SPIFFE's, so there is no host name to compare; the chain is still verified.
      checkServerIdentity: () => undefined,
    });
    socket.once("secureConnect", () => {
      const { subjectaltname = "", serialNumber, valid_to } = socket.getPeerCertificate();
      socket.destroy();
      resolve({ spiffeId: subjectaltname.replace(/^URI:/, ""), serial: serialNumber, expiresAt: new Date(valid_to) });
    });
    socket.once("error", reject);
    socket.once("timeout", () => socket.destroy(new Error(`no TLS handshake with ${ip} in 5 s`)));
  });
}
