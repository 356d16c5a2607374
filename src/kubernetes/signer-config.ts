import { isDnsSubdomain } from "../ca/x509/dns-names.ts";
import { TrysailError } from "../platform/errors.ts";

/** The signer of `certificates.k8s.io` that this control plane is to a cluster. */
export interface CertificateRequestsConfig {
  readonly signerName: string;
  /** Whether what is asked for by its own service account is approved here, and all else denied; else others decide. */
  readonly approves: boolean;
}

/** The signer of `certificates.k8s.io` that this control plane asks for every certificate. */
export interface ExternalSignerConfig {
  readonly signerName: string;
  /** Whether what is asked for here is also approved here. */
  readonly approves: boolean;
  readonly roots: RootsConfig;
}

/** Where the roots are that a signer's certificates lead to. Objects are in the control plane's own namespace. */
export type RootsConfig =
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "configmaps" | "secrets"; readonly name: string };

export interface SignerFlags {
  readonly csrSigner?: string;
  readonly csrApproval: string;
  readonly caSigner?: string;
  readonly caSignerRoots?: string;
  readonly caSignerApprove?: boolean;
}

export interface SignersConfig {
  /** Null where no CertificateSigningRequest is signed. */
  readonly certificateRequests: CertificateRequestsConfig | null;
  /** Null where the mesh has an authority of its own. */
  readonly externalSigner: ExternalSignerConfig | null;
}

/** Throws `invalid-argument` naming the flag. */
export function parseSigners(
  flags: SignerFlags,
  { isCluster, hasCaDir }: { readonly isCluster: boolean; readonly hasCaDir: boolean },
): SignersConfig {
  const { csrSigner, csrApproval, caSigner, caSignerRoots, caSignerApprove = false } = flags;
  if (csrApproval !== "own-identity" && csrApproval !== "manual") {
    throw invalid(`--csr-approval ${csrApproval} is neither own-identity nor manual`);
  }
  const certificateRequests =
    csrSigner === undefined
      ? null
      : { signerName: signerName("--csr-signer", csrSigner), approves: csrApproval === "own-identity" };
  // Else the leader denies what nodes and people ask of Kubernetes, since it is not for workloads of the mesh.
  if (csrSigner?.startsWith("kubernetes.io/")) {
    throw invalid(`--csr-signer ${csrSigner} is one of Kubernetes' own: name one in a domain of yours`);
  }
  if (!isCluster && (csrSigner ?? caSigner) !== undefined) {
    throw invalid("--csr-signer and --ca-signer need a cluster: serve one by --kubeconfig");
  }
  if (caSigner === undefined) {
    if (caSignerRoots === undefined && !caSignerApprove) return { certificateRequests, externalSigner: null };
    throw invalid("--ca-signer-roots and --ca-signer-approve say nothing without --ca-signer");
  }
  if (hasCaDir) throw invalid("--ca-dir and --ca-signer exclude each other: one of them signs");
  if (caSigner === csrSigner) throw invalid("--csr-signer and --ca-signer must differ, or the mesh would ask itself");
  if (caSignerRoots === undefined) {
    throw invalid("--ca-signer-roots is missing: say where the roots of the signer are, by which it is verified");
  }
  const externalSigner = {
    signerName: signerName("--ca-signer", caSigner),
    approves: caSignerApprove,
    roots: parseRoots(caSignerRoots),
  };
  return { certificateRequests, externalSigner };
}

/** As the API server wants it: `DOMAIN/PATH`. */
function signerName(flag: string, text: string): string {
  const [domain = "", path = "", ...more] = text.split("/");
  if (isDnsSubdomain(domain) && domain.includes(".") && isDnsSubdomain(path) && more.length === 0) return text;
  throw invalid(`${flag} is DOMAIN/NAME, such as trysail.dev/workload, and this is not: ${text}`);
}

function parseRoots(text: string): RootsConfig {
  const [kind, name = ""] = text.split("/", 2);
  if ((kind === "configmaps" || kind === "secrets") && text === `${kind}/${name}` && isDnsSubdomain(name)) {
    return { kind, name };
  }
  if (text === "") throw invalid("--ca-signer-roots is empty");
  return { kind: "file", path: text };
}

function invalid(message: string): TrysailError {
  return new TrysailError("invalid-argument", message);
}
