import { availableParallelism } from "node:os";
import { followRoots } from "../ca/bundle/follow-roots.ts";
import { createExternalIssuer } from "../ca/external-issuer.ts";
import { createOwnIssuer, type Issuer } from "../ca/issuer.ts";
import { createIssuingThreads } from "../ca/threads/issuing-threads.ts";
import type { ServeConfig } from "../config.ts";
import type { KubernetesClient } from "../kubernetes/client.ts";
import { createExternalSigner } from "../kubernetes/external-signer.ts";
import { rootsSource } from "../kubernetes/roots-source.ts";
import type { ExternalSignerConfig } from "../kubernetes/signer-config.ts";
import { TrysailError } from "../platform/errors.ts";
import type { Platform } from "../platform/platform.ts";
import type { StateDir } from "../platform/state-dir.ts";
import { createAuthorityMetrics } from "./authority-metrics.ts";
import { type OpenedAuthority, openAuthority } from "./open-authority.ts";

export interface OpenIssuerDeps {
  readonly config: ServeConfig;
  readonly platform: Platform;
  /** Null on one machine. */
  readonly kubernetes: KubernetesClient | null;
  readonly state: StateDir;
  readonly maxTtlMs: number;
  /** DNS names and IP addresses of the control plane itself. */
  readonly servingHosts: readonly string[];
  onKeyMissing(reason: string): void;
}

export interface OpenedIssuer {
  readonly issuer: Issuer;
  /** The mesh's own authority, to be rotated here; null where a signer elsewhere is asked. */
  readonly own: OpenedAuthority | null;
  /** How much is worked on at one time. */
  readonly atOnce: { readonly requests: number; readonly renewals: number };
  /** How long others wait for their turn; undefined where it comes soon. */
  readonly patienceMs?: number;
  stop(): void;
}

/** The event loop keeps a core. More than two have nothing to do, since it brings them no more. */
const ISSUING_THREADS = { maxThreads: availableParallelism() > 2 ? 2 : 1, idleMs: 30_000 };
/** What keeps the threads that sign at work; more at once would only wait for each other. */
const HERE = { requests: 16, renewals: 4 };
/** Others do the work, and what takes long is to wait for them. */
const ELSEWHERE = { requests: 64, renewals: 64 };
/** While they do not answer, each turn takes half a minute, and nobody still listens who would have the last of a thousand. */
const PATIENCE_MS = 30_000;

/** Whoever signs for this mesh. Rejects where that cannot be used. */
export async function openIssuer(deps: OpenIssuerDeps): Promise<OpenedIssuer> {
  const { config, platform, kubernetes, state, maxTtlMs, servingHosts, onKeyMissing } = deps;
  const { clock, random, log } = platform;
  if (config.externalSigner !== null) return openExternal(deps, config.externalSigner);
  const own = await openAuthority({
    ...{ kubernetes, state, clock, random, log, servingHosts, onKeyMissing },
    trustDomain: config.trustDomain,
    systemNamespace: config.systemNamespace,
    caDir: config.caDir,
    rootLifeMs: config.rootTtlMs,
  });
  const threads = createIssuingThreads({ ...ISSUING_THREADS, clock });
  const issuer = createOwnIssuer({ authority: own.authority, clock, maxTtlMs, threads });
  return { issuer, own, atOnce: HERE, stop: () => void threads.stop() };
}

async function openExternal(
  { config, platform, kubernetes: client, maxTtlMs }: OpenIssuerDeps,
  external: ExternalSignerConfig,
): Promise<OpenedIssuer> {
  if (client === null) throw new TrysailError("invalid-argument", "--ca-signer needs a cluster");
  const roots = await followRoots({
    ...platform,
    ...rootsSource(external.roots, { client, namespace: config.systemNamespace }),
    metrics: createAuthorityMetrics(platform.registry),
  });
  const signer = createExternalSigner({ ...platform, ...external, client });
  return {
    issuer: createExternalIssuer({ sign: signer.sign, roots, clock: platform.clock, maxTtlMs }),
    own: null,
    atOnce: ELSEWHERE,
    patienceMs: PATIENCE_MS,
    stop() {
      roots.stop();
      signer.stop();
    },
  };
}
