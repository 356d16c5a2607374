import type { Gateway, ServerTlsSettings } from "./istio/gateway.ts";

/** A server's own certificate and its key, as paths in the gateway's container. */
export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

/** Whom a server trusts, and what was taken back of it (`""` for nothing), as paths in the gateway's container. */
export interface TrustFiles {
  readonly roots: string;
  readonly revocations: string;
}

type FileSettings = Pick<
  ServerTlsSettings,
  | "mode"
  | "serverCertificate"
  | "privateKey"
  | "caCertificates"
  | "caCrl"
  | "caCertCredentialName"
  | "credentialName"
  | "credentialNames"
>;

const MODES_WITH_FILES: ReadonlySet<string | undefined> = new Set(["SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL"]);

/** Null where the server has its certificate from elsewhere. */
export function certificateFiles(tls: FileSettings): CertificateFiles | null {
  const { mode, serverCertificate: certificate = "", privateKey: key = "" } = tls;
  return MODES_WITH_FILES.has(mode) && certificate !== "" && key !== "" ? { certificate, key } : null;
}

/** Null where the server asks nobody for a certificate, or knows from elsewhere whose to take. */
export function trustFiles(tls: FileSettings): TrustFiles | null {
  const { mode, caCertificates: roots = "", caCrl: revocations = "" } = tls;
  if (mode === "SIMPLE" || !MODES_WITH_FILES.has(mode) || roots === "") return null;
  const secrets = [tls.caCertCredentialName, tls.credentialName, ...(tls.credentialNames ?? [])];
  return secrets.some((name = "") => name !== "") ? null : { roots, revocations };
}

/** Istio's name of the secret that holds these files: `file-cert:CERTIFICATE~KEY`. */
export function certificateFilesName({ certificate, key }: CertificateFiles): string {
  return `file-cert:${part(certificate)}~${part(key)}`;
}

/** `file-root:ROOTS`, and `~REVOCATIONS` behind it where there are some. */
export function trustFilesName({ roots, revocations }: TrustFiles): string {
  return `file-root:${part(roots)}${revocations === "" ? "" : `~${part(revocations)}`}`;
}

/** The names of all secrets of files that a Gateway's servers need. */
export function fileSecretNames({ spec }: Gateway): readonly string[] {
  return (spec.servers ?? []).flatMap(({ tls = {} }) => {
    const [own, trust] = [certificateFiles(tls), trustFiles(tls)];
    return [...(own === null ? [] : [certificateFilesName(own)]), ...(trust === null ? [] : [trustFilesName(trust)])];
  });
}

/** So that no two pairs of paths have one name. */
function part(path: string): string {
  return path.replaceAll("%", "%25").replaceAll("~", "%7E");
}
