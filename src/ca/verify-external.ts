import { createPublicKey, type X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { messageOf, TrysailError } from "../platform/errors.ts";
import type { IssuedCertificate } from "./signer.ts";
import { refusalByLimits } from "./x509/chain-limits.ts";
import { CERTIFICATE_SIGNING, CRL_SIGNING, DIGITAL_SIGNATURE, keyUsageOf } from "./x509/key-usage.ts";
import { certificatesOf, isIssuedBy, subjectText } from "./x509/pem-certificates.ts";

export interface ExternalAnswer {
  /** As the signer wrote it: the leaf first, the others in any order, with or without the root. */
  readonly chainPem: string;
  /** PEM of the roots that count. */
  readonly rootsPem: string;
  /** What was asked for. */
  readonly asked: {
    /** DER of the SubjectPublicKeyInfo. */
    readonly publicKey: Uint8Array;
    /** The one URI of a workload, or the DNS names and IP addresses of the control plane. */
    readonly names: { readonly uri: string } | { readonly hosts: readonly string[] };
  };
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly longestLifeMs: number;
}

const LONGEST_CHAIN = 8;
const PURPOSES = ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"];

/**
 * Judges what a signer elsewhere has answered, which is believed nothing: the key and the names must be those asked
 * for, and the chain must lead to a root of the mesh. Answers the leaf and what leads up from it, without the root;
 * throws `internal`, what is wrong being its cause.
 */
export function verifyExternal(answer: ExternalAnswer): IssuedCertificate {
  try {
    const [leaf, ...others] = certificatesOf(answer.chainPem);
    if (leaf === undefined || others.length > LONGEST_CHAIN) throw new Error("it is no chain of certificates");
    assertLeaf(leaf, answer);
    const way = wayToRoot(leaf, others, answer);
    return {
      chainPem: [leaf, ...way].map((certificate) => certificate.toString()).join(""),
      serialNumber: leaf.serialNumber.toLowerCase(),
      notAfter: Math.min(...[leaf, ...way].map(({ validToDate }) => validToDate.getTime())),
    };
  } catch (error) {
    throw new TrysailError("internal", "no certificate could be issued", {
      cause: new Error(`the external signer's certificate is not what was asked for: ${messageOf(error)}`),
    });
  }
}

function assertLeaf(leaf: X509Certificate, { asked, now, longestLifeMs }: ExternalAnswer): void {
  const publicKey = createPublicKey({ key: Buffer.from(asked.publicKey), format: "der", type: "spki" });
  if (!leaf.publicKey.equals(publicKey)) throw new Error("it is for another key");
  if (leaf.ca) throw new Error("it is an authority");
  // Node calls the extended key usage `keyUsage`.
  if (!PURPOSES.every((purpose) => leaf.keyUsage?.includes(purpose))) {
    throw new Error("it is not for TLS servers and clients alike");
  }
  if (leaf.keyUsage?.length !== PURPOSES.length) throw new Error("it is for more than TLS servers and clients");
  assertKeyUsage(leaf);
  assertNames(leaf, asked.names);
  assertValid(leaf, now);
  if (leaf.validToDate.getTime() > now + longestLifeMs) throw new Error("it lives longer than the mesh allows");
}

function assertKeyUsage(leaf: X509Certificate): void {
  const bits = keyUsageOf(leaf);
  if (bits === undefined) return;
  // Envoy takes part in no handshake by such a certificate.
  if ((bits & DIGITAL_SIGNATURE) === 0) throw new Error("its key may not sign handshakes (keyUsage)");
  // SPIFFE's validators, and so the proxies of a federated mesh, refuse these.
  if ((bits & (CERTIFICATE_SIGNING | CRL_SIGNING)) !== 0)
    throw new Error("its key may sign as an authority's does (keyUsage)");
}

function assertNames(leaf: X509Certificate, names: ExternalAnswer["asked"]["names"]): void {
  if ("uri" in names) {
    const expected = `URI:${names.uri}`;
    if (leaf.subjectAltName !== expected) throw new Error(`its names are ${leaf.subjectAltName}, not ${expected}`);
    return;
  }
  for (const host of names.hosts) {
    const named = isIP(host) === 0 ? leaf.checkHost(host) : leaf.checkIP(host);
    if (named === undefined) throw new Error(`it does not name ${host}`);
  }
}

/** What stands between the leaf and a root that counts, the nearest first. */
function wayToRoot(
  leaf: X509Certificate,
  others: readonly X509Certificate[],
  { rootsPem, now, asked }: ExternalAnswer,
): X509Certificate[] {
  const roots = certificatesOf(rootsPem);
  const way: X509Certificate[] = [];
  for (let top = leaf; ; ) {
    const root = roots.find((one) => isIssuedBy(top, one));
    if (root !== undefined) {
      assertValid(root, now);
      assertPeersAccept([...way, root], asked.names);
      return way;
    }
    const next = others.find((one) => !way.includes(one) && one !== top && isIssuedBy(top, one));
    if (next === undefined) throw new Error("it leads to none of the roots of --ca-signer-roots");
    if (!next.ca) throw new Error(`${subjectText(next)} is not the certificate of an authority`);
    assertValid(next, now);
    way.push(next);
    top = next;
  }
}

/** The limits of who signed it bind whoever verifies it, so that it would be of no use. */
function assertPeersAccept(chain: readonly X509Certificate[], names: ExternalAnswer["asked"]["names"]): void {
  const asked =
    "uri" in names
      ? { trustDomain: new URL(names.uri).host, hosts: [] }
      : { trustDomain: undefined, hosts: names.hosts };
  const refusal = refusalByLimits(chain, asked);
  if (refusal !== undefined) throw new Error(`it ${refusal}`);
}

function assertValid({ subject, validFromDate, validToDate }: X509Certificate, now: number): void {
  if (validFromDate.getTime() > now || validToDate.getTime() <= now) {
    throw new Error(`${subject || "it"} is not valid now`);
  }
}
