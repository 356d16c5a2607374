import { type Authority, loadAuthority } from "../ca/authority/authority.ts";
import { createFolderStore } from "../ca/authority/authority-folder-store.ts";
import { type AuthorityMaterial, assertValidNow, validityOf } from "../ca/authority/authority-material.ts";
import { type AuthoritySource, firstOf } from "../ca/authority/authority-source.ts";
import { createFolderSource } from "../ca/authority/folder-source.ts";
import { createSecretSource } from "../kubernetes/authority-secret-source.ts";
import { createSecretStore } from "../kubernetes/authority-secret-store.ts";
import type { KubernetesClient } from "../kubernetes/client.ts";
import { readPublishedBundle } from "../kubernetes/published-bundle.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import type { StateDir } from "../platform/state-dir.ts";
import { TRUST_BUNDLE_MAP } from "../platform/trust-bundle.ts";

export interface OpenAuthorityDeps {
  /** Null on one machine: then the state folder keeps the authority. */
  readonly kubernetes: Pick<KubernetesClient, "get" | "list" | "create" | "replace"> | null;
  readonly state: StateDir;
  readonly systemNamespace: string;
  readonly caDir: string | null;
  readonly rootLifeMs: number;
  readonly trustDomain: string;
  /** DNS names and IP addresses of the control plane, which the authority is to vouch for as well. */
  readonly servingHosts: readonly string[];
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Called with why the start waits for a key that is missing; may be called again. */
  onKeyMissing(reason: string): void;
}

export interface OpenedAuthority {
  readonly authority: Authority;
  /** Where a plugged-in authority is followed; null where the mesh makes its own roots. */
  readonly source: AuthoritySource | null;
  /** How often what others decided is read, and how long they may take to hear of what is decided here. */
  readonly timing: { readonly pollMs: number; readonly replicaLagMs: number };
}

/** Where a cluster keeps it. */
export const AUTHORITY_SECRET = { apiVersion: "v1", kind: "Secret", name: "trysail-ca-secret" } as const;
const SECRET = { pluggedIn: "cacerts", istioOwn: "istio-ca-secret" } as const;
const ALONE = { pollMs: 1000, replicaLagMs: 0 };
const AMONG_REPLICAS = { pollMs: 5000, replicaLagMs: 60_000 };

/**
 * The authority where this control plane keeps it. In a cluster a Secret `cacerts` beside it is a plugged-in authority,
 * and a mesh that begins with Istio's own `istio-ca-secret` keeps that root until a rotation.
 */
export async function openAuthority(deps: OpenAuthorityDeps): Promise<OpenedAuthority> {
  const { kubernetes, trustDomain, servingHosts, systemNamespace: namespace } = deps;
  const use = { trustDomain, servingHosts };
  const secretSource = (name: string): AuthoritySource | null =>
    kubernetes === null ? null : createSecretSource({ client: kubernetes, namespace, name, ...use });
  const folder = deps.caDir === null ? null : createFolderSource({ path: deps.caDir, ...use });
  const source = folder ?? secretSource(SECRET.pluggedIn);
  const istioOwn = secretSource(SECRET.istioOwn);
  const store =
    kubernetes === null
      ? createFolderStore({ state: deps.state, trustDomain })
      : createSecretStore({ client: kubernetes, namespace, name: AUTHORITY_SECRET.name });
  /** What is left from the days of Istio must not keep a mesh from a root of its own. */
  const hasEnded = (adopted: AuthorityMaterial): boolean => {
    const { notAfter } = validityOf(adopted);
    if (notAfter > deps.clock.now()) return false;
    const ended = new Date(notAfter).toISOString();
    deps.log.warn({ source: istioOwn?.name, ended }, "Istio's root has ended: the mesh begins with one of its own");
    return true;
  };
  const authority = await loadAuthority({
    ...deps,
    store,
    ...(kubernetes !== null && {
      published: {
        name: `the ConfigMaps ${TRUST_BUNDLE_MAP}`,
        read: () => readPublishedBundle(kubernetes, namespace),
        onKeyMissing: deps.onKeyMissing,
      },
    }),
    async first() {
      const pluggedIn = folder === null ? await source?.read() : (await firstOf(folder)).material;
      if (pluggedIn !== undefined) {
        // Once saved it would be what the mesh has, also when it is mended where it came from.
        assertValidNow(`the authority in ${source?.name}`, pluggedIn, deps.clock.now());
        return { origin: "plugged-in", material: pluggedIn };
      }
      const adopted = await istioOwn?.read();
      return adopted === undefined || hasEnded(adopted) ? undefined : { origin: "self-signed", material: adopted };
    },
  });
  return { authority, source, timing: kubernetes === null ? ALONE : AMONG_REPLICAS };
}
