import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { messageOf, TrysailError } from "../platform/errors.ts";
import { spiffeId } from "./identity.ts";
import type { IssuedCertificate, ServingLeaf, WorkloadLeaf } from "./signer.ts";

const SERVER_AND_CLIENT_AUTHENTICATION = "1.3.6.1.5.5.7.3.1,1.3.6.1.5.5.7.3.2";

/**
 * Reads a signed certificate back with OpenSSL and compares it with what was asked for, so that no mistake of a
 * signer leaves the process. Answers the certificate itself; throws `internal`, with the difference as its cause.
 */
export function verifyIssued(
  issued: IssuedCertificate,
  asked: WorkloadLeaf,
  authority: X509Certificate,
  now: number,
): IssuedCertificate {
  return verify(issued, asked, authority, now, (leaf) => {
    assertEqual("its names", leaf.subjectAltName, `URI:${spiffeId(asked.identity)}`);
  });
}

/** The same for a certificate of the control plane's own. */
export function verifyIssuedServing(
  issued: IssuedCertificate,
  asked: ServingLeaf,
  authority: X509Certificate,
  now: number,
): IssuedCertificate {
  return verify(issued, asked, authority, now, (leaf) => {
    for (const host of asked.hosts) {
      const named = isIP(host) === 0 ? leaf.checkHost(host) : leaf.checkIP(host);
      if (named === undefined) throw new Error(`it does not name ${host}`);
    }
  });
}

function verify(
  issued: IssuedCertificate,
  asked: AskedLeaf,
  authority: X509Certificate,
  now: number,
  assertNames: (leaf: X509Certificate) => void,
): IssuedCertificate {
  try {
    const leaf = new X509Certificate(issued.chainPem);
    assertLeaf(leaf, asked, authority, now);
    assertNames(leaf);
    return issued;
  } catch (error) {
    throw new TrysailError("internal", "no certificate could be issued", {
      cause: new Error(`certificate ${issued.serialNumber} is not what was asked for: ${messageOf(error)}`),
    });
  }
}

type AskedLeaf = Pick<WorkloadLeaf, "publicKey" | "notAfter">;

function assertLeaf(leaf: X509Certificate, asked: AskedLeaf, authority: X509Certificate, now: number): void {
  if (!leaf.checkIssued(authority)) throw new Error("it does not name its authority");
  if (!leaf.verify(authority.publicKey)) throw new Error("its signature does not verify");
  if (!leaf.publicKey.export({ type: "spki", format: "der" }).equals(asked.publicKey)) {
    throw new Error("it is for another key");
  }
  assertEqual("its subject", leaf.subject ?? "", "");
  if (leaf.ca) throw new Error("it is an authority");
  // Node calls the extended key usage `keyUsage`.
  assertEqual("its extended key usage", leaf.keyUsage?.join(), SERVER_AND_CLIENT_AUTHENTICATION);
  const until = leaf.validToDate.getTime();
  if (leaf.validFromDate.getTime() > now || until <= now) throw new Error("it is not valid now");
  if (until > asked.notAfter) throw new Error("it lives longer than asked for");
  if (until > authority.validToDate.getTime()) throw new Error("it outlives its authority");
}

function assertEqual(what: string, actual: string | undefined, expected: string): void {
  if (actual !== expected) throw new Error(`${what} is "${actual}", not "${expected}"`);
}
