import { createRotator, type Rotator } from "../ca/authority/rotator.ts";
import type { ServeConfig } from "../config.ts";
import type { EventRecorder } from "../kubernetes/event-recorder.ts";
import type { Platform } from "../platform/platform.ts";
import { SECRET_NAME } from "../sds/secret-resource.ts";
import type { AdsService } from "../xds/ads-service.ts";
import { TYPE_URL } from "../xds/resource-set.ts";
import { recordExpiry } from "./authority-events.ts";
import { createAuthorityMetrics } from "./authority-metrics.ts";
import type { Identity } from "./identity.ts";
import { AUTHORITY_SECRET } from "./open-authority.ts";

export interface RotationDeps {
  readonly config: ServeConfig;
  readonly platform: Platform;
  readonly identity: Identity;
  readonly ads: Pick<AdsService, "acceptedVersions">;
  /** Null on one machine. */
  readonly events: EventRecorder | null;
  /** Of several replicas one alone may take the next step. */
  mayStep(): boolean;
}

const PREPARE_AT_SHARE = 0.5;

/** Rotates the mesh's roots by what the proxies have accepted. Start it once proxies can connect. */
export function createRotation({ config, platform, identity, ads, events, mayStep }: RotationDeps): Rotator {
  const { authority, source, timing, secrets } = identity;
  const { trustDomain, systemNamespace: namespace } = config;
  let servingSince = platform.clock.now();
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
    facts() {
      const accepted = ads.acceptedVersions(TYPE_URL.secret, SECRET_NAME.trustBundle);
      const current = secrets.trustBundleVersion();
      const acknowledged = accepted.filter((version) => version === current).length;
      return { observedSince: servingSince, proxies: accepted.length, acknowledged };
    },
    ...(events !== null && {
      onExpiring: (expiry) => recordExpiry(events, { ...AUTHORITY_SECRET, namespace }, expiry),
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
