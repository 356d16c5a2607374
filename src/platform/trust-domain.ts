/** Whether SPIFFE ids can have it as their trust domain (SPIFFE-ID, 2.1). */
export function isTrustDomain(name: string): boolean {
  return /^[a-z0-9._-]{1,255}$/.test(name);
}
