import type { CsrRequest } from "../ca/answer-csr.ts";
import { loadSigningKey } from "../ca/authority/signing-key.ts";
import { type Authenticate, createAuthenticate } from "../ca/caller/authenticate.ts";
import { createImpersonate } from "../ca/caller/impersonate.ts";
import { type CertificateRequest, type Certified, type CertifyMetrics, certify } from "../ca/certify.ts";
import { shareOwner, type WorkloadIdentity } from "../ca/identity.ts";
import { createJwtSvidIssuer, type JwtSvidIssuer } from "../ca/jwt/jwt-svid.ts";
import { loadTokenIssuer } from "../ca/jwt/token-issuer.ts";
import { createServingCertificate, type ServingCertificate } from "../ca/serving/serving-certificate.ts";
import { createSigningQueue } from "../ca/signing-queue.ts";
import { createCaMetrics } from "../ca-api/ca-metrics.ts";
import type { ServeConfig } from "../config.ts";
import type { CertifyRequester } from "../kubernetes/certificate-signer.ts";
import type { KubernetesClient } from "../kubernetes/client.ts";
import type { EventRecorder } from "../kubernetes/event-recorder.ts";
import type { MeshSnapshot } from "../mesh/snapshot.ts";
import { createOutboundFetch } from "../platform/outbound-fetch.ts";
import type { Platform } from "../platform/platform.ts";
import { openStateDir } from "../platform/state-dir.ts";
import type { TrustBundle } from "../platform/trust-bundle.ts";
import { createKeyPool } from "../sds/key-pool.ts";
import { createRenewalTurns } from "../sds/renewal-turns.ts";
import { createWorkloadSecrets, type WorkloadSecrets } from "../sds/workload-secrets.ts";
import { createAuthenticators } from "./authenticators.ts";
import { recordKeyMissing, recordNotRenewed } from "./authority-events.ts";
import { recordServing } from "./authority-metrics.ts";
import { createBoundPods } from "./bound-pods.ts";
import { AUTHORITY_SECRET } from "./open-authority.ts";
import { type OpenedIssuer, openIssuer } from "./open-issuer.ts";
import { createRevokedIdentities } from "./revoked-identities.ts";

export interface IdentityDeps {
  readonly config: ServeConfig;
  readonly platform: Platform;
  /** Both null on one machine. */
  readonly kubernetes: KubernetesClient | null;
  readonly events: Pick<EventRecorder, "record"> | null;
  /** This replica's name. */
  readonly instance: string;
  /** Not called before the mesh was read once. */
  mesh(): MeshSnapshot;
  /** Called with what the start waits for, where that is more than a moment. */
  waitFor(reason: () => string): void;
}

/** Who is who in the mesh: what proves it, and what says so to others. */
export interface Identity extends OpenedIssuer {
  readonly authenticate: Authenticate;
  /** The same, and refuses whom the mesh has revoked: for what is not denied to these by certificates and policies. */
  readonly authenticateUnrevoked: Authenticate;
  /** Whether the mesh has revoked it. */
  isRevoked(identity: WorkloadIdentity): boolean;
  /** Whom everyone in the mesh trusts. */
  trustBundle(): TrustBundle;
  /** The control plane's own certificate. */
  readonly serving: ServingCertificate;
  /** Of workloads that are given their key and certificate over their streams. */
  readonly secrets: WorkloadSecrets;
  /** A certificate for whoever asks with proof. */
  certify(request: CertificateRequest): Promise<Certified>;
  /** The same for who was authenticated by others: the API server, of who made a CertificateSigningRequest. */
  readonly certifyRequester: CertifyRequester;
  readonly metrics: CertifyMetrics;
  readonly jwtSvids: JwtSvidIssuer;
  stop(): void;
}

const MAX_CERT_TTL_MS = 90 * 86_400_000;
const KEYS_READY = 64;
const MOST_WAITING = 1000;

/** Opens the mesh's authority and all that rests on it. Rejects where a key, or what proves a caller, cannot be used. */
export async function openIdentity(deps: IdentityDeps): Promise<Identity> {
  const { config, platform, kubernetes, events, instance, mesh, waitFor } = deps;
  const { clock, random, log, registry } = platform;
  const { trustDomain } = config;
  const state = await openStateDir(config.stateDir);
  const hosts = hostsOf(config);
  const opened = await openIssuer({
    ...{ config, platform, kubernetes, state },
    maxTtlMs: MAX_CERT_TTL_MS,
    servingHosts: hosts,
    onKeyMissing(reason) {
      waitFor(() => `it waits for the mesh's authority: ${reason}`);
      log.error({ reason }, "the mesh's authority is missing, and no new root is made: see docs/ca-authority.md");
      recordKeyMissing(events, { ...AUTHORITY_SECRET, namespace: config.systemNamespace }, reason);
    },
  });
  const { issuer, own, atOnce, patienceMs } = opened;
  const trustBundle = (): TrustBundle => ({
    rootsPem: issuer.trustBundlePem(),
    revocationListsPem: own?.authority.revocationListsPem() ?? "",
  });

  const boundPods = createBoundPods(() => mesh().pods);
  const authenticators = await createAuthenticators(config.authenticators, {
    ...{ trustDomain, kubernetes, clock, random, log, waitFor },
    issuer: await loadTokenIssuer({ state, clock }),
    audiences: config.tokenAudiences,
    trustDomainAliases: () => mesh().config.trustDomainAliases,
    pod: boundPods.pod,
    fetchUnder: (rootsPem) => createOutboundFetch({ rootsPem }),
  });
  const authenticate = createAuthenticate(authenticators.list);

  const revoked = createRevokedIdentities(mesh);
  const pod = { apiVersion: "v1", kind: "Pod", namespace: config.systemNamespace, name: instance };
  const serving = createServingCertificate({
    ...{ issue: issuer.issueServing, clock, log, hosts },
    onNotRenewed: (message) => recordNotRenewed(events, pod, message),
  });
  await serving.start();
  recordServing(registry, serving);
  const keys = createKeyPool({ size: KEYS_READY });
  const secrets = createWorkloadSecrets({
    ...{ keys, clock, random, log },
    async issue(request) {
      revoked.assertNotRevoked(request.identity);
      return issuer.issue(request);
    },
    trustBundle: trustBundle(),
    turns: createRenewalTurns({ atOnce: atOnce.renewals }),
    ttlMs: config.workloadCertTtlMs,
  });

  const metrics = createCaMetrics(registry);
  const patience = patienceMs === undefined ? undefined : { ms: patienceMs, clock };
  const queue = createSigningQueue({ atOnce: atOnce.requests, maxWaiting: MOST_WAITING, patience });
  const certifyDeps = {
    ...{ authenticate, log, metrics },
    impersonate: createImpersonate({
      ...{ ...boundPods, ...revoked },
      trustedNodeAccounts: new Set(config.trustedNodeAccounts),
    }),
    queue,
    async answer(request: CsrRequest) {
      revoked.assertNotRevoked(request.identity);
      return issuer.answer(request);
    },
    defaultTtlMs: config.workloadCertTtlMs,
  };
  const jwtKey = await loadSigningKey({
    state,
    folder: "jwt",
    what: "the key of JWT-SVIDs",
    consequence: "ends every JWT-SVID issued so far",
  });
  const jwtSvids = createJwtSvidIssuer({ key: jwtKey, clock });
  return {
    ...opened,
    async authenticateUnrevoked(credentials) {
      const caller = await authenticate(credentials);
      revoked.assertNotRevoked(caller);
      return caller;
    },
    ...{ authenticate, serving, secrets, metrics, trustBundle },
    isRevoked: revoked.isRevoked,
    certify: (request) => certify(certifyDeps, request),
    certifyRequester: (requester, request) =>
      certify({ ...certifyDeps, authenticate: requester }, { ...request, credentials: {} }),
    jwtSvids: {
      keys: jwtSvids.keys,
      async issue(request) {
        revoked.assertNotRevoked(request.identity);
        return queue.run(shareOwner(request.identity), () => jwtSvids.issue(request));
      },
    },
    stop() {
      opened.stop();
      authenticators.stop();
      serving.stop();
      keys.stop();
    },
  };
}

function hostsOf({ systemNamespace, servingNames }: ServeConfig): string[] {
  const service = `trysail.${systemNamespace}.svc`;
  return [service, `${service}.cluster.local`, "trysail", "localhost", "127.0.0.1", "::1", ...servingNames];
}
