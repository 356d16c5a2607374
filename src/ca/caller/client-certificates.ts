import type { X509Certificate } from "node:crypto";
import type { Clock } from "../../platform/clock.ts";
import { parseSpiffeId, type WorkloadIdentity } from "../identity.ts";
import { Refusal } from "../refusal.ts";
import type { Authenticator } from "./authenticate.ts";

export interface ClientCertificatesDeps {
  readonly trustDomain: string;
  /** Other names of the trust domain now: who has one of them becomes the workload of the same path in this one. */
  trustDomainAliases(): readonly string[];
  readonly clock: Pick<Clock, "now">;
}

const CLIENT_AUTHENTICATION = "1.3.6.1.5.5.7.3.2";
const URI = "URI:";

/**
 * Authenticates workloads by the certificate that they have, so that they can renew it without a token. TLS has
 * verified its chain when the connection began; a connection may outlive the certificate.
 */
export function createClientCertificates(deps: ClientCertificatesDeps): Authenticator {
  return {
    name: "client-certificate",
    authenticate({ clientCertificate }) {
      const certificate = clientCertificate();
      return certificate === undefined ? null : identityOf(certificate, deps);
    },
  };
}

async function identityOf(certificate: X509Certificate, deps: ClientCertificatesDeps): Promise<WorkloadIdentity> {
  const refuse = (problem: string): Refusal => {
    const cause = new Error(`certificate ${certificate.serialNumber} of ${certificate.subjectAltName} ${problem}`);
    return new Refusal("client-certificate", `the client certificate ${problem}`, { cause });
  };
  const now = deps.clock.now();
  if (certificate.validToDate.getTime() <= now) throw refuse("has expired");
  if (certificate.validFromDate.getTime() > now) throw refuse("is not valid yet");
  if (certificate.ca) throw refuse("is one of an authority");
  if (!certificate.keyUsage?.includes(CLIENT_AUTHENTICATION)) throw refuse("is not for clients");
  const names = certificate.subjectAltName ?? "";
  // Node quotes a name that holds a comma, so what begins with the prefix and parses as an id is all of it.
  const identity = names.startsWith(URI) ? parseSpiffeId(names.slice(URI.length)) : undefined;
  if (identity === undefined) throw refuse("names no workload");
  if (identity.trustDomain !== deps.trustDomain && !deps.trustDomainAliases().includes(identity.trustDomain)) {
    throw refuse("is of another trust domain");
  }
  return { ...identity, trustDomain: deps.trustDomain };
}
