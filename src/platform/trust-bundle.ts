/** The ConfigMap that tells each namespace whom to trust: pods mount it, the leader keeps it. */
export const TRUST_BUNDLE_MAP = "trysail-ca-root-cert";
export const TRUST_BUNDLE_KEY = "root-cert.pem";

/** Whose certificates count. PEM. */
export interface TrustBundle {
  readonly rootsPem: string;
  /** Of every authority of a chain, or empty: then nothing counts as revoked. */
  readonly revocationListsPem: string;
}
