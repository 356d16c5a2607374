/** Whose certificates count. PEM. */
export interface TrustBundle {
  readonly rootsPem: string;
  /** Of every authority of a chain, or empty: then nothing counts as revoked. */
  readonly revocationListsPem: string;
}
