import type { X509Certificate } from "node:crypto";
import { decodeJwt } from "jose";
import type { WorkloadIdentity } from "../identity.ts";
import { Refusal } from "../refusal.ts";

/** What a caller shows of itself. */
export interface Credentials {
  readonly token?: string | undefined;
  /** The certificate that TLS has verified against the mesh's own roots; asked for only where it is needed. */
  clientCertificate?(): X509Certificate | undefined;
  /** The cluster that the caller says it is in. */
  readonly clusterId?: string | undefined;
  /** Where it comes from: proves nothing, and says whose share of what strangers may have a question is. */
  readonly address?: string | undefined;
}

/** Answers who a caller is proven to be. Rejects with a Refusal; its cause is for the log alone. */
export type Authenticate = (credentials: Credentials) => Promise<WorkloadIdentity>;

/** One kind of proof. */
export interface Authenticator {
  /** For the log. */
  readonly name: string;
  /** Null where the credentials are of another kind; what is of its kind and wrong is a Refusal, and final. */
  authenticate(presented: PresentedCredentials): Promise<WorkloadIdentity> | null;
}

export interface PresentedCredentials {
  /** `issuer` is what the token says, which nobody has verified. */
  readonly token: { readonly text: string; readonly issuer: string | undefined } | undefined;
  clientCertificate(): X509Certificate | undefined;
  readonly clusterId: string | undefined;
  readonly address: string;
}

/** Kubernetes' tokens are about 1 KB; what is far longer is not looked at. */
const LONGEST_TOKEN = 16 * 1024;

/**
 * Asks the authenticators in their order; the first that knows the kind of the credentials decides. So a token that is
 * refused is not tried elsewhere, and a caller is told what is wrong with what it sent.
 */
export function createAuthenticate(authenticators: readonly Authenticator[]): Authenticate {
  return async ({ token, clientCertificate = () => undefined, clusterId, address = "" }) => {
    const presented = { token: token ? presentedToken(token) : undefined, clientCertificate, clusterId, address };
    for (const authenticator of authenticators) {
      const answer = authenticator.authenticate(presented);
      if (answer !== null) return answer;
    }
    if (presented.token === undefined) throw new Refusal("no-credentials", "no token");
    throw new Refusal("token-untrusted-issuer", "token of an issuer that this mesh does not trust");
  };
}

/** The token of an `Authorization: Bearer …` header (RFC 6750, 2.1); undefined where there is none. */
export function bearerToken(authorizationHeader: string | undefined): string | undefined {
  return /^Bearer +([A-Za-z0-9._~+/-]+=*) *$/i.exec(authorizationHeader ?? "")?.[1];
}

function presentedToken(text: string): NonNullable<PresentedCredentials["token"]> {
  if (text.length > LONGEST_TOKEN) throw new Refusal("token-too-long", "token is too long");
  try {
    return { text, issuer: decodeJwt(text).iss };
  } catch (cause) {
    throw new Refusal("token-malformed", "token is malformed", { cause });
  }
}
