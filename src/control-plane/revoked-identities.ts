import { type WorkloadIdentity, workloadPrincipal } from "../ca/identity.ts";
import { Refusal } from "../ca/refusal.ts";
import type { MeshConfig } from "../mesh/mesh-config.ts";
import { revokedPrincipals } from "../mesh/revoked-principals.ts";
import type { MeshSnapshot } from "../mesh/snapshot.ts";

export interface RevokedIdentities {
  isRevoked(identity: WorkloadIdentity): boolean;
  /** Throws a Refusal, naming the policy that revokes it. */
  assertNotRevoked(identity: WorkloadIdentity): void;
}

/**
 * The mesh's denylist is its own policies: one of a root namespace that denies principals everywhere, and is labelled
 * `trysail.io/revokes-identities: "true"`, is enforced by every proxy like any other, and keeps the authority from
 * issuing to them besides. Only rules that hold for all requests count: one that is narrowed revokes nobody.
 */
export function createRevokedIdentities(mesh: () => MeshSnapshot): RevokedIdentities {
  let seen: MeshSnapshot | undefined;
  let revoked: readonly Revocation[] = [];
  let trustDomains: readonly string[] = [];
  const revocationOf = (identity: WorkloadIdentity): Revocation | undefined => {
    const now = mesh();
    if (now !== seen) {
      seen = now;
      revoked = revocationsIn(now);
      trustDomains = namesOfDomain(now.config);
    }
    if (revoked.length === 0) return undefined;
    const principals = trustDomains.map((trustDomain) => workloadPrincipal({ ...identity, trustDomain }));
    return revoked.find(({ pattern }) => principals.some((principal) => matches(pattern, principal)));
  };
  return {
    isRevoked: (identity) => revocationOf(identity) !== undefined,
    assertNotRevoked(identity) {
      const by = revocationOf(identity);
      if (by === undefined) return;
      throw new Refusal("identity-revoked", `this identity is revoked by AuthorizationPolicy ${by.policy}`);
    },
  };
}

interface Revocation {
  /** A principal, with `*` at one end at most. */
  readonly pattern: string;
  readonly policy: string;
}

function revocationsIn({ config, authorizationPoliciesFor }: MeshSnapshot): Revocation[] {
  return authorizationPoliciesFor(config.rootNamespaces[0] ?? "").flatMap((policy) => {
    const { namespace, name } = policy.metadata;
    return revokedPrincipals(policy).map((pattern) => ({ pattern, policy: `${namespace}/${name}` }));
  });
}

/** As proxies read policies: `cluster.local` means the mesh's own, and who has one name of it has them all. */
function namesOfDomain({ trustDomain, trustDomainAliases }: MeshConfig): string[] {
  return [trustDomain, ...trustDomainAliases, "cluster.local"];
}

/** As Istio compares texts: exactly, or by what comes before or behind one `*`. */
function matches(pattern: string, text: string): boolean {
  if (pattern.endsWith("*")) return text.startsWith(pattern.slice(0, -1));
  return pattern.startsWith("*") ? text.endsWith(pattern.slice(1)) : text === pattern;
}
