import { type KeyObject, verify as verifyCallback, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { promisify } from "node:util";
import { messageOf, TrysailError } from "../platform/errors.ts";
import { spiffeId } from "./identity.ts";
import type { IssuedCertificate, ServingLeaf, WorkloadLeaf } from "./signer.ts";
import { subjectNameOf } from "./x509/certificate.ts";
import { readDer, readOne, TAG } from "./x509/der.ts";
import { signatureAlgorithm } from "./x509/signature-algorithm.ts";

const verifySignature = promisify(verifyCallback);
const SERVER_AND_CLIENT_AUTHENTICATION = "1.3.6.1.5.5.7.3.1,1.3.6.1.5.5.7.3.2";

/**
 * Reads a signed certificate back with OpenSSL and compares it with what was asked for, so that no mistake of a
 * signer leaves the process. Answers the certificate itself; rejects with `internal`, the difference being its cause.
 */
export function verifyIssued(
  issued: IssuedCertificate,
  asked: WorkloadLeaf,
  authority: X509Certificate,
  now: number,
): Promise<IssuedCertificate> {
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
): Promise<IssuedCertificate> {
  return verify(issued, asked, authority, now, (leaf) => {
    for (const host of asked.hosts) {
      const named = isIP(host) === 0 ? leaf.checkHost(host) : leaf.checkIP(host);
      if (named === undefined) throw new Error(`it does not name ${host}`);
    }
  });
}

async function verify(
  issued: IssuedCertificate,
  asked: AskedLeaf,
  authority: X509Certificate,
  now: number,
  assertNames: (leaf: X509Certificate) => void,
): Promise<IssuedCertificate> {
  try {
    const leaf = new X509Certificate(issued.chainPem);
    const issuer = issuerOf(authority);
    assertLeaf(leaf, asked, issuer, now);
    assertNames(leaf);
    await assertSigned(leaf.raw, asked.publicKey, issuer);
    return issued;
  } catch (error) {
    throw new TrysailError("internal", "no certificate could be issued", {
      cause: new Error(`certificate ${issued.serialNumber} is not what was asked for: ${messageOf(error)}`),
    });
  }
}

type AskedLeaf = Pick<WorkloadLeaf, "publicKey" | "notAfter">;

function assertLeaf(leaf: X509Certificate, asked: AskedLeaf, issuer: Issuer, now: number): void {
  assertEqual("its subject", leaf.subject ?? "", "");
  if (leaf.ca) throw new Error("it is an authority");
  // Node calls the extended key usage `keyUsage`.
  assertEqual("its extended key usage", leaf.keyUsage?.join(), SERVER_AND_CLIENT_AUTHENTICATION);
  const until = leaf.validToDate.getTime();
  if (leaf.validFromDate.getTime() > now || until <= now) throw new Error("it is not valid now");
  if (until > asked.notAfter) throw new Error("it lives longer than asked for");
  if (until > issuer.notAfter) throw new Error("it outlives its authority");
}

/** Off the event loop: OpenSSL's check of a signature costs as much as everything else of an issuance together. */
async function assertSigned(certificate: Buffer, publicKey: Uint8Array, issuer: Issuer): Promise<void> {
  const [toBeSigned, algorithmElement, signatureBits] = readOne(certificate, TAG.sequence);
  if (toBeSigned === undefined || algorithmElement === undefined || signatureBits === undefined) {
    throw new Error("it is not a certificate");
  }
  // [version], serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo, …
  const fields = readDer(toBeSigned.content);
  if (!fields[3]?.raw.equals(issuer.name)) throw new Error("it does not name its authority");
  if (!fields[6]?.raw.equals(publicKey)) throw new Error("it is for another key");
  const algorithm = signatureAlgorithm(algorithmElement.raw);
  const signature = signatureBits.content.subarray(1);
  if (algorithm === undefined || !(await verifySignature(algorithm.hash, toBeSigned.raw, issuer.key, signature))) {
    throw new Error("its signature does not verify");
  }
}

interface Issuer {
  /** DER of its Name. */
  readonly name: Buffer;
  readonly key: KeyObject;
  /** Milliseconds since the epoch. */
  readonly notAfter: number;
}

/** To read these out of a certificate costs as much as a signature, and an authority issues many. */
const issuers = new WeakMap<X509Certificate, Issuer>();

function issuerOf(authority: X509Certificate): Issuer {
  const known = issuers.get(authority);
  if (known !== undefined) return known;
  const read = {
    name: subjectNameOf(authority),
    key: authority.publicKey,
    notAfter: authority.validToDate.getTime(),
  };
  issuers.set(authority, read);
  return read;
}

function assertEqual(what: string, actual: string | undefined, expected: string): void {
  if (actual !== expected) throw new Error(`${what} is "${actual}", not "${expected}"`);
}
