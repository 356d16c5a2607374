import { TrysailError } from "../../platform/errors.ts";
import { certificatesOf } from "../x509/pem-certificates.ts";
import type { SpiffeBundle } from "./parse-spiffe-bundle.ts";

/**
 * Throws `failed-precondition` for a bundle that its publisher has replaced by the one that is held (SPIFFE Trust Domain and Bundle,
 * 4.1.1: its sequence number only grows): a cache or a replica that is behind would bring a retired root back, or take the new one
 * away. Where either has no number nothing is known, and where every root that is held has ended nothing is lost.
 */
export function assertNotSuperseded(next: SpiffeBundle, held: SpiffeBundle | null, now: number): void {
  if (held === null || held.sequence === null || next.sequence === null || next.sequence >= held.sequence) return;
  if (certificatesOf(held.rootsPem).every(({ validToDate }) => validToDate.getTime() <= now)) return;
  const message = `the SPIFFE bundle is older (spiffe_sequence ${next.sequence}) than the one that is held (${held.sequence})`;
  throw new TrysailError("failed-precondition", message);
}
