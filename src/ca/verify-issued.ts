import { type KeyObject, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { type DerElement, readOne, sequence, TAG } from "../platform/der.ts";
import { messageOf, TrysailError } from "../platform/errors.ts";
import { onceFor } from "../platform/once-for.ts";
import { spiffeId } from "./identity.ts";
import { localSignatures, type Signatures } from "./signatures.ts";
import type { IssuedCertificate, ServingLeaf, WorkloadLeaf } from "./signer.ts";
import { nameOf, subjectNameOf } from "./x509/certificate.ts";
import { CLIENT_AUTHENTICATION, EXTENSION_TYPE, SERVER_AUTHENTICATION } from "./x509/extensions.ts";
import { CERTIFICATE_SIGNING, CRL_SIGNING, DIGITAL_SIGNATURE } from "./x509/key-usage.ts";
import { type ParsedCertificate, type ParsedExtension, parseCertificate } from "./x509/parse-certificate.ts";
import { firstCertificateDer } from "./x509/pem-certificates.ts";

export interface VerifyIssuedContext {
  /** What must have signed. */
  readonly authority: X509Certificate;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly signatures?: Signatures | undefined;
}

/**
 * Reads a signed certificate back from the PEM that is about to leave, and compares it with what was asked for, so that
 * no mistake of a signer leaves the process. Answers the certificate itself; rejects with `internal`, the difference
 * being its cause.
 */
export function verifyIssued(
  issued: IssuedCertificate,
  asked: WorkloadLeaf,
  context: VerifyIssuedContext,
): Promise<IssuedCertificate> {
  return verify(issued, asked, context, (leaf) => assertSpiffeId(leaf, spiffeId(asked.identity)));
}

/** The same for a certificate of the control plane's own, which OpenSSL reads too: so it has judged our writing before a workload is given any. */
export function verifyIssuedServing(
  issued: IssuedCertificate,
  asked: ServingLeaf,
  context: VerifyIssuedContext,
): Promise<IssuedCertificate> {
  return verify(issued, asked, context, () => {
    const leaf = new X509Certificate(issued.chainPem);
    for (const host of asked.hosts) {
      const named = isIP(host) === 0 ? leaf.checkHost(host) : leaf.checkIP(host);
      if (named === undefined) throw new Error(`it does not name ${host}`);
    }
  });
}

async function verify(
  issued: IssuedCertificate,
  asked: AskedLeaf,
  { authority, now, signatures = localSignatures }: VerifyIssuedContext,
  assertNames: (leaf: ParsedCertificate) => void,
): Promise<IssuedCertificate> {
  try {
    const leaf = parseCertificate(firstCertificateDer(issued.chainPem));
    const issuer = issuerOf(authority);
    assertLeaf(leaf, asked, issuer, now);
    assertNames(leaf);
    const { algorithm, signed, signature } = leaf;
    if (!(await signatures.verify(algorithm.hash, signed, issuer.key, signature))) {
      throw new Error("its signature does not verify");
    }
    return issued;
  } catch (error) {
    throw new TrysailError("internal", "no certificate could be issued", {
      cause: new Error(`certificate ${issued.serialNumber} is not what was asked for: ${messageOf(error)}`),
    });
  }
}

type AskedLeaf = Pick<WorkloadLeaf, "publicKey" | "notAfter">;

const NO_NAME = nameOf({});
const NO_AUTHORITY = sequence();
const URI_NAME = 0x86;
/** The only ones that may be critical: whoever does not know another has to refuse the certificate. */
const KNOWN_TYPES = Object.values(EXTENSION_TYPE);

function assertLeaf(leaf: ParsedCertificate, asked: AskedLeaf, issuer: Issuer, now: number): void {
  if (!leaf.issuer.is(issuer.name)) throw new Error("it does not name its authority");
  if (!leaf.publicKey.is(asked.publicKey)) throw new Error("it is for another key");
  if (!leaf.subject.is(NO_NAME)) throw new Error("it has a subject");
  if (leaf.notBefore > now || leaf.notAfter <= now) throw new Error("it is not valid now");
  if (leaf.notAfter > asked.notAfter) throw new Error("it lives longer than asked for");
  if (leaf.notAfter > issuer.notAfter) throw new Error("it outlives its authority");
  assertUsages(leaf);
}

function assertUsages(leaf: ParsedCertificate): void {
  for (const { type, isCritical } of leaf.extensions) {
    if (isCritical && !KNOWN_TYPES.some((known) => type.is(known))) {
      throw new Error("it has a critical extension that nobody asked for");
    }
  }
  const constraints = extensionOf(leaf, EXTENSION_TYPE.basicConstraints);
  if (constraints !== undefined && !constraints.value.content.equals(NO_AUTHORITY))
    throw new Error("it is an authority");
  const [, bits = 0] = extensionOf(leaf, EXTENSION_TYPE.keyUsage)?.value.elements()[0]?.content ?? [];
  if ((bits & DIGITAL_SIGNATURE) === 0 || (bits & (CERTIFICATE_SIGNING | CRL_SIGNING)) !== 0) {
    throw new Error("its key is for other uses");
  }
  const [server, client, ...more] = listIn(extensionOf(leaf, EXTENSION_TYPE.extendedKeyUsage));
  if (!server?.is(SERVER_AUTHENTICATION) || !client?.is(CLIENT_AUTHENTICATION) || more.length > 0) {
    throw new Error("it is for other purposes than TLS servers and clients");
  }
}

/** One name, and critical, since there is no subject beside it (RFC 5280, 4.2.1.6). */
function assertSpiffeId(leaf: ParsedCertificate, id: string): void {
  const extension = extensionOf(leaf, EXTENSION_TYPE.subjectAlternativeName);
  const names = listIn(extension);
  const [name] = names;
  if (names.length !== 1 || name?.tag !== URI_NAME || name.content.toString("latin1") !== id) {
    throw new Error(`its names are not "URI:${id}" alone`);
  }
  if (extension?.isCritical !== true) throw new Error("its names are not critical");
}

function extensionOf({ extensions }: ParsedCertificate, type: Buffer): ParsedExtension | undefined {
  return extensions.find((extension) => extension.type.is(type));
}

/** The elements of the one SEQUENCE that an extension is; none where there is no such extension. */
function listIn(extension: ParsedExtension | undefined): DerElement[] {
  return extension === undefined ? [] : readOne(extension.value.content, TAG.sequence);
}

interface Issuer {
  /** DER of its Name. */
  readonly name: Buffer;
  readonly key: KeyObject;
  /** Milliseconds since the epoch. */
  readonly notAfter: number;
}

/** To read these out of a certificate costs as much as a signature, and an authority issues many. */
const issuerOf = onceFor(
  (authority: X509Certificate): Issuer => ({
    name: subjectNameOf(authority),
    key: authority.publicKey,
    notAfter: authority.validToDate.getTime(),
  }),
);
