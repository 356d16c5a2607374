import type { KeyObject, X509Certificate } from "node:crypto";
import type { Clock } from "../platform/clock.ts";
import type { Random } from "../platform/random.ts";
import { spiffeId, type WorkloadIdentity } from "./identity.ts";
import { localSignatures, type Signatures } from "./signatures.ts";
import {
  buildCertificate,
  buildToBeSigned,
  certificatePem,
  keyIdentifier,
  keyIdentifierOf,
  nameOf,
  signingAlgorithmOf,
  subjectNameOf,
} from "./x509/certificate.ts";
import {
  authorityKeyIdentifier,
  basicConstraints,
  digitalSignatureOnly,
  hostName,
  serverAndClientAuthentication,
  subjectAlternativeNames,
  subjectKeyIdentifier,
  uriName,
} from "./x509/extensions.ts";
import { isSelfSigned } from "./x509/pem-certificates.ts";

/** Signs what the caller decided. It never sees a CSR, so no name from one can slip in. */
export interface Signer {
  /** What signs: its key verifies every leaf. */
  readonly certificate: X509Certificate;
  /** When the first certificate of its chain ends, which no leaf may outlive; milliseconds since the epoch. */
  readonly notAfter: number;
  /** For a thread that signs in its place, behind `beforeSigning`. */
  readonly material: SigningMaterial;
  /** To be asked before a thread signs a workload's certificate of that life; a rejection is the caller's. Undefined where it may at once. */
  beforeSigning(lifeMs: number): Promise<void> | undefined;
  /** An X.509-SVID for a workload; `signatures` says where the work is done. */
  sign(request: WorkloadLeaf, signatures?: Signatures): Promise<IssuedCertificate>;
  /** A certificate for the control plane's own ports, with DNS names and IP addresses. */
  signServing(request: ServingLeaf): Promise<IssuedCertificate>;
}

interface Leaf {
  /** DER of the SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array;
  /** Milliseconds since the epoch; cut to the second. */
  readonly notAfter: number;
}

export interface WorkloadLeaf extends Leaf {
  readonly identity: WorkloadIdentity;
}

export interface ServingLeaf extends Leaf {
  readonly hosts: readonly string[];
}

export interface IssuedCertificate {
  /** The leaf, then any intermediates; never the root. */
  readonly chainPem: string;
  /** In hexadecimal, small letters. */
  readonly serialNumber: string;
  /** Milliseconds since the epoch. */
  readonly notAfter: number;
}

/** What an authority signs with. */
export interface SigningMaterial {
  readonly certificate: X509Certificate;
  /** RSA, or on a NIST curve. */
  readonly key: KeyObject;
  /** PEM of what leads from `certificate` up to a root, without either; empty where it is the root itself. */
  readonly intermediatesPem?: string;
}

export interface SignerDeps extends SigningMaterial {
  /** See `Signer.notAfter`; when `certificate` ends, unless given. */
  readonly notAfter?: number;
  /** PEM of what the control plane's own chain goes on with: see `Slot.crossCertificatesPem`. */
  readonly crossCertificatesPem?: string;
  /** See `Signer.beforeSigning`; nothing unless given. */
  beforeSigning?(lifeMs: number): Promise<void> | undefined;
  readonly clock: Pick<Clock, "now">;
  readonly random: Pick<Random, "bytes">;
}

/** A peer whose clock runs a little behind must still accept a new certificate. */
const BACKDATE_MS = 60_000;
const SERIAL_BYTES = 16;

/** Signs with a key in this process. */
export function createSigner(deps: SignerDeps): Signer {
  const algorithm = signingAlgorithmOf(deps.key);
  const issuer = subjectNameOf(deps.certificate);
  const authority = authorityKeyIdentifier(keyIdentifierOf(deps.certificate));
  // The same in every leaf, so encoded once.
  const subject = nameOf({});
  const fixed = [basicConstraints(false), digitalSignatureOnly(), serverAndClientAuthentication()];
  const above = isSelfSigned(deps.certificate) ? "" : deps.certificate.toString() + (deps.intermediatesPem ?? "");

  const issue = async (
    leaf: Leaf,
    names: readonly Buffer[],
    chainPem: string,
    signatures = localSignatures,
  ): Promise<IssuedCertificate> => {
    const serialNumber = Buffer.from(deps.random.bytes(SERIAL_BYTES));
    // Neither negative nor with zeros in front, so that the log has it as everybody prints it.
    serialNumber[0] = ((serialNumber[0] ?? 0) & 0b0011_1111) | 0b0100_0000;
    const notAfter = Math.floor(leaf.notAfter / 1000) * 1000;
    const toBeSigned = buildToBeSigned(
      {
        serialNumber,
        issuer,
        subject,
        notBefore: deps.clock.now() - BACKDATE_MS,
        notAfter,
        publicKey: leaf.publicKey,
        extensions: [
          ...fixed,
          subjectKeyIdentifier(keyIdentifier(leaf.publicKey)),
          authority,
          subjectAlternativeNames(names, { critical: true }),
        ],
      },
      algorithm,
    );
    const signature = await signatures.sign(algorithm.hash, toBeSigned, deps.key);
    const certificate = buildCertificate(toBeSigned, algorithm, signature);
    return { chainPem: certificatePem(certificate) + chainPem, serialNumber: serialNumber.toString("hex"), notAfter };
  };

  const { certificate, key, intermediatesPem } = deps;
  const beforeSigning = (lifeMs: number) => deps.beforeSigning?.(lifeMs);
  return {
    certificate,
    notAfter: deps.notAfter ?? certificate.validToDate.getTime(),
    material: { certificate, key, ...(intermediatesPem !== undefined && { intermediatesPem }) },
    beforeSigning,
    async sign(request, signatures) {
      const permission = beforeSigning(request.notAfter - deps.clock.now());
      if (permission !== undefined) await permission;
      return issue(request, [uriName(spiffeId(request.identity))], above, signatures);
    },
    // These are replaced at once when another authority signs, so no old root need stay for them.
    signServing: async (request) =>
      issue(request, request.hosts.map(hostName), above + (deps.crossCertificatesPem ?? "")),
  };
}
