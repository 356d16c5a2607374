import type { RotationFacts } from "../ca/authority/rotation.ts";
import { createRotator, type Rotator } from "../ca/authority/rotator.ts";
import { TRUST, type TrustReport, trustOfAll } from "../ca/authority/trust-report.ts";
import { fingerprintsOf } from "../ca/x509/pem-certificates.ts";
import type { ServeConfig } from "../config.ts";
import type { KubernetesClient } from "../kubernetes/client.ts";
import type { EventRecorder } from "../kubernetes/event-recorder.ts";
import { createReplicaReports } from "../kubernetes/replica-reports.ts";
import type { Platform } from "../platform/platform.ts";
import { SECRET_NAME } from "../sds/secret-resource.ts";
import type { WorkloadSecrets } from "../sds/workload-secrets.ts";
import type { AdsService } from "../xds/ads-service.ts";
import { TYPE_URL } from "../xds/resource-set.ts";
import { recordExpiry, recordHeld, recordTampering } from "./authority-events.ts";
import { createAuthorityMetrics, recordBehind } from "./authority-metrics.ts";
import { AUTHORITY_SECRET, type OpenedAuthority } from "./open-authority.ts";

export interface RotationDeps {
  readonly config: ServeConfig;
  readonly platform: Platform;
  readonly own: OpenedAuthority;
  readonly secrets: Pick<WorkloadSecrets, "trustBundleVersion" | "isFederated">;
  readonly ads: Pick<AdsService, "accepted">;
  /** Null on one machine. */
  readonly events: EventRecorder | null;
  /** Of several replicas one alone may take the next step. */
  mayStep(): boolean;
  /** Where there can be other replicas; null on one machine. */
  readonly cluster: RotationCluster | null;
}

export interface RotationCluster {
  readonly kubernetes: KubernetesClient;
  /** This replica's name. */
  readonly instance: string;
  readonly revision: string;
}

export interface Rotation extends Omit<Rotator, "stop"> {
  stop(): Promise<void>;
}

const PREPARE_AT_SHARE = 0.5;
/** Of a replica's proxies. */
const MOST_NAMED = 5;
const FEDERATED =
  "proxies read none, because the mesh is federated (caCertificates) and Envoy's SPIFFE validator ignores them";

/** Rotates the mesh's roots by what the proxies of every replica have accepted. Start it once proxies can connect. */
export function createRotation(deps: RotationDeps): Rotation {
  const { config, platform, own, secrets, ads, events, mayStep, cluster } = deps;
  const { authority, source, timing } = own;
  const { trustDomain, systemNamespace: namespace } = config;
  let servingSince = platform.clock.now();
  const trustHere = (): TrustReport => {
    const accepted = ads.accepted(TYPE_URL.secret, SECRET_NAME.trustBundle);
    const current = secrets.trustBundleVersion();
    const behind = accepted.filter(({ version }) => version !== current);
    return {
      roots: fingerprintsOf(authority.trustBundlePem()),
      proxies: accepted.length,
      acknowledged: accepted.length - behind.length,
      behind: behind.slice(0, MOST_NAMED).map(({ proxy }) => `${proxy.name}.${proxy.namespace}`),
    };
  };
  const reports =
    cluster === null
      ? null
      : createReplicaReports({
          ...platform,
          ...{ client: cluster.kubernetes, instance: cluster.instance, revision: cluster.revision, namespace },
          ...{ subject: TRUST, among: "namespace", current: steady(trustHere) },
        });
  let stopFollowing = () => {};
  const facts = (): RotationFacts => ({
    observedSince: Math.max(servingSince, reports?.lastGoneAt() ?? 0),
    unheard: reports?.unheard() ?? null,
    ...trustOfAll(trustHere(), reports?.elsewhere() ?? []),
  });
  recordBehind(platform.registry, trustHere);
  const rotator = createRotator({
    ...platform,
    ...timing,
    ...{ authority, source, trustDomain, mayStep },
    rootLifeMs: config.rootTtlMs,
    policy: {
      prepareAtShare: PREPARE_AT_SHARE,
      propagationMs: config.rootPropagationMs,
      reconnectMs: config.proxyReconnectMs,
    },
    facts,
    revocationObstacle: () => (secrets.isFederated() ? FEDERATED : null),
    ...(events !== null && {
      onExpiring: (expiry) => recordExpiry(events, { ...AUTHORITY_SECRET, namespace }, expiry),
      onHeld: (message) => recordHeld(events, { ...AUTHORITY_SECRET, namespace }, message),
      onTampered: (notice) => recordTampering(events, { ...AUTHORITY_SECRET, namespace }, notice),
    }),
    metrics: createAuthorityMetrics(platform.registry),
  });
  return {
    ...rotator,
    async start() {
      servingSince = platform.clock.now();
      stopFollowing = reports?.follow() ?? stopFollowing;
      await rotator.start();
    },
    async stop() {
      rotator.stop();
      stopFollowing();
      await reports?.stop();
    },
  };
}

/** The same object for as long as it says the same. */
function steady<T>(read: () => T): () => T {
  let last: { readonly value: T; readonly text: string } | undefined;
  return () => {
    const value = read();
    const text = JSON.stringify(value);
    if (last?.text !== text) last = { value, text };
    return last.value;
  };
}
