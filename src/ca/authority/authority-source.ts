import { TrysailError } from "../../platform/errors.ts";
import type { FirstMaterial } from "./authority.ts";
import {
  type AuthorityMaterial,
  type MaterialUse,
  type NamedBytes,
  parseAuthorityMaterial,
} from "./authority-material.ts";

/** Where an operator puts the key that is to sign. Read again and again: what is there may be replaced at any time. */
export interface AuthoritySource {
  /** For errors and the log. */
  readonly name: string;
  /** Undefined where there is nothing at all. Rejects where what there is cannot be used. */
  read(): Promise<AuthorityMaterial | undefined>;
  /** The revocation lists beside it, as they are; without bytes where there are none. */
  readRevocationLists(): Promise<NamedBytes>;
}

/** Reads one file of the source; undefined where it is missing. */
export type ReadFile = (name: string) => Promise<Uint8Array | undefined>;

/**
 * The forms in which keys come, told apart by what is there: Istio's `cacerts` (`ca-cert.pem`, `ca-key.pem`,
 * `cert-chain.pem`, `root-cert.pem`), its `istio-ca-secret` (the first two alone, signed by itself), and that of
 * cert-manager and of Kubernetes' own TLS Secrets (`tls.crt`, `tls.key`, `ca.crt`). Istio's `ca-crl.pem` may stand
 * beside any of them.
 */
export function createAuthoritySource(
  deps: MaterialUse & { readonly name: string; readonly readFile: ReadFile },
): AuthoritySource {
  const file = async (name: string) => ({ name: `${deps.name}/${name}`, bytes: await deps.readFile(name) });

  return {
    name: deps.name,
    async read() {
      const [certificate, key] = [await file("ca-cert.pem"), await file("ca-key.pem")];
      if (certificate.bytes !== undefined || key.bytes !== undefined) {
        const [chain, roots] = [await file("cert-chain.pem"), await file("root-cert.pem")];
        return parseAuthorityMaterial({ certificate, key, chain, roots }, deps);
      }
      const [tlsCertificate, tlsKey] = [await file("tls.crt"), await file("tls.key")];
      if (tlsCertificate.bytes === undefined && tlsKey.bytes === undefined) return undefined;
      const roots = await file("ca.crt");
      return parseAuthorityMaterial(
        // The first certificate signs, and any behind it lead upwards.
        { certificate: firstCertificate(tlsCertificate), key: tlsKey, chain: tlsCertificate, roots },
        deps,
      );
    },
    readRevocationLists: () => file("ca-crl.pem"),
  };
}

/** What a mesh that has no authority begins with. Rejects where the source has none. */
export async function firstOf(source: AuthoritySource): Promise<FirstMaterial> {
  const material = await source.read();
  if (material === undefined) {
    throw new TrysailError("failed-precondition", `there is no authority in ${source.name}: ca-cert.pem, ca-key.pem …`);
  }
  return { origin: "plugged-in", material };
}

function firstCertificate({ name, bytes }: { name: string; bytes: Uint8Array | undefined }) {
  if (bytes === undefined) return { name, bytes };
  const end = "-----END CERTIFICATE-----";
  const text = Buffer.from(bytes).toString("latin1");
  const at = text.indexOf(end);
  return { name, bytes: at === -1 ? bytes : Buffer.from(text.slice(0, at + end.length), "latin1") };
}

/**
 * Rejects where an authority is plugged in, whose successor only an operator has. It is read anew: a replica that takes no steps by
 * itself has not looked. What is broken is plugged in nonetheless.
 */
export async function assertNothingPluggedIn(source: AuthoritySource): Promise<void> {
  const found = await source.read().catch((error: unknown) => {
    if (error instanceof TrysailError && error.code === "failed-precondition") return error;
    throw error;
  });
  if (found === undefined) return;
  throw new TrysailError("failed-precondition", `the authority is plugged in: put its successor into ${source.name}`);
}
