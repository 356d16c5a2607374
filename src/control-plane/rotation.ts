import type { RotationFacts } from "../ca/authority/rotation.ts";
import { createRotator, type Rotator } from "../ca/authority/rotator.ts";
import type { ServeConfig } from "../config.ts";
import type { EventRecorder } from "../kubernetes/event-recorder.ts";
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
}

const PREPARE_AT_SHARE = 0.5;
/** In what people read; an Event holds no more. */
const MOST_NAMED = 5;
const FEDERATED =
  "proxies read none, because the mesh is federated (caCertificates) and Envoy's SPIFFE validator ignores them";

/** Rotates the mesh's roots by what the proxies have accepted. Start it once proxies can connect. */
export function createRotation({ config, platform, own, secrets, ads, events, mayStep }: RotationDeps): Rotator {
  const { authority, source, timing } = own;
  const { trustDomain, systemNamespace: namespace } = config;
  let servingSince = platform.clock.now();
  const facts = (): RotationFacts => {
    const accepted = ads.accepted(TYPE_URL.secret, SECRET_NAME.trustBundle);
    const current = secrets.trustBundleVersion();
    const behind = accepted.filter(({ version }) => version !== current);
    return {
      observedSince: servingSince,
      proxies: accepted.length,
      acknowledged: accepted.length - behind.length,
      behind: behind.slice(0, MOST_NAMED).map(({ proxy }) => `${proxy.name}.${proxy.namespace}`),
    };
  };
  recordBehind(platform.registry, facts);
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
      await rotator.start();
    },
  };
}
