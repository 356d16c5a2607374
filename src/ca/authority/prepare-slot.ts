import { X509Certificate } from "node:crypto";
import { isSelfSigned } from "../x509/pem-certificates.ts";
import type { AuthorityMaterial } from "./authority-material.ts";
import { type AuthorityState, slotOf, withMaterial, withPrepared, withRetired } from "./authority-state.ts";
import { crossSign, type RootDeps } from "./self-signed-root.ts";

/** The state in which this material is published, and signs next. */
export function preparedWith(
  deps: RootDeps,
  state: AuthorityState,
  material: AuthorityMaterial,
  origin: "self-signed" | "plugged-in",
): AuthorityState {
  const slot = slotOf(material, {
    origin,
    preparedAt: deps.clock.now(),
    crossCertificatesPem: crossed(deps, state, material),
  });
  return withPrepared(state, slot);
}

/** Only a root can vouch for a root; an intermediate may sign no authority, by the length of its path. */
function crossed(deps: RootDeps, { active }: AuthorityState, material: AuthorityMaterial): string {
  const areRoots = [active, material].every(({ certificatePem }) => isSelfSigned(new X509Certificate(certificatePem)));
  return areRoots ? crossSign(material, active, deps) + active.crossCertificatesPem : active.crossCertificatesPem;
}

function withoutPrepared(state: AuthorityState): AuthorityState {
  return state.prepared === null ? state : withRetired(state, state.prepared.id);
}

/** The state once a source has shown this material: what is known already changes nothing. */
export function withOffered(deps: RootDeps, state: AuthorityState, material: AuthorityMaterial): AuthorityState {
  const { id } = slotOf(material, { origin: "plugged-in", preparedAt: 0 });
  if (id === state.prepared?.id) return withMaterial(state, id, material);
  // Where it was put back, what had taken its place and has not signed yet is taken back with that.
  if (id === state.active.id) return withMaterial(withoutPrepared(state), id, material);
  return preparedWith(deps, state, material, "plugged-in");
}
