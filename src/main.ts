import { hostname } from "node:os";
import { collectDefaultMetrics, Registry } from "prom-client";
import { caRoutes } from "./ca-api/api-routes.ts";
import { addCertificateService } from "./ca-api/certificate-service.ts";
import { grpcCredentials } from "./ca-api/grpc-credentials.ts";
import type { ServeConfig } from "./config.ts";
import { authorityRoutes } from "./control-plane/authority-routes.ts";
import { createDebugServer } from "./control-plane/debug-server.ts";
import { createEventMetrics } from "./control-plane/event-metrics.ts";
import { startFederation } from "./control-plane/federation.ts";
import { grantedCredentials } from "./control-plane/granted-credentials.ts";
import { createHttpsServer } from "./control-plane/https-server.ts";
import { openIdentity } from "./control-plane/identity.ts";
import { recordInjection } from "./control-plane/injection-events.ts";
import { createInjectionMetrics } from "./control-plane/injection-metrics.ts";
import { createKubernetesMetrics } from "./control-plane/kubernetes-metrics.ts";
import { startLeaderDuties } from "./control-plane/leader-duties.ts";
import { listen, listenGrpc } from "./control-plane/listen.ts";
import { createMeshFindings } from "./control-plane/mesh-findings.ts";
import { createMeshState } from "./control-plane/mesh-state.ts";
import { createMonitoringServer } from "./control-plane/monitoring-server.ts";
import { createProxyConfigs } from "./control-plane/proxy-configs.ts";
import { createReferenceAnalysis } from "./control-plane/reference-analysis.ts";
import { createRotation } from "./control-plane/rotation.ts";
import { createUnmeshedAudit } from "./control-plane/unmeshed.ts";
import { createValidationMetrics } from "./control-plane/validation-metrics.ts";
import { loadInjectionConfig } from "./injection/load-injection-config.ts";
import { createMeshSettings } from "./injection/mesh-settings.ts";
import { admissionRoutes } from "./injection/routes.ts";
import { selectProxyConfig } from "./injection/select-proxy-config.ts";
import { connectKubernetes } from "./kubernetes/connect.ts";
import { createEventRecorder } from "./kubernetes/event-recorder.ts";
import { createKubernetesSource } from "./kubernetes/kubernetes-source.ts";
import { analyzeReferences } from "./mesh/analyze.ts";
import { BuildCache } from "./platform/build-cache.ts";
import { systemClock } from "./platform/clock.ts";
import { createGrpcServer } from "./platform/grpc-server.ts";
import type { Logger } from "./platform/log.ts";
import type { Platform } from "./platform/platform.ts";
import { systemRandom } from "./platform/random.ts";
import { createFileSource } from "./sources/file-source.ts";
import { createTranslator } from "./translate/translator.ts";
import { validationRoutes } from "./validation/routes.ts";
import { createAdsService } from "./xds/ads-service.ts";
import { createXdsMetrics } from "./xds/xds-metrics.ts";

/** The ports that were bound, for callers that let the system choose them. */
export interface ControlPlane {
  readonly ports: {
    readonly grpc: number;
    readonly https: number;
    readonly monitoring: number;
    readonly http: number;
    readonly plaintext: number | null;
  };
  /** Ends what runs, streams last; resolves when every port is closed. */
  stop(): Promise<void>;
}

const STOP_GRACE_MS = 2000;
/** A proxy that comes back shows its token anew, so that none outlives its own for long. */
const MAX_CONNECTION_AGE = { ageMs: 30 * 60_000, graceMs: 10_000 };
/** Of a certificate's life: the time over which renewals spread when another authority signs. */
const RENEWAL_WINDOW_SHARE = 0.05;

/** Builds the control plane from its parts, in the order in which data flows through them, and starts it. */
export async function startControlPlane(config: ServeConfig, log: Logger): Promise<ControlPlane> {
  const clock = systemClock;
  const random = systemRandom;
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const platform: Platform = { clock, random, log, registry };
  const { trustDomain, systemNamespace } = config;

  const kubernetes = await connectKubernetes(config.source, { clock, log });
  const instance = hostname();
  const events =
    kubernetes === null
      ? null
      : createEventRecorder({ ...platform, client: kubernetes, instance, metrics: createEventMetrics(registry) });

  // Identity: the mesh's authority, what proves a caller, certificates for workloads and for the control plane itself.
  const identity = await openIdentity({ config, platform, kubernetes, mesh: () => mesh.current() });
  const { authority, authenticate, serving, secrets } = identity;

  // Configuration: files or Kubernetes → mesh → each proxy's resources → streams.
  const dirs = config.source.kind === "folders" ? config.source.dirs : [];
  const source =
    kubernetes === null
      ? createFileSource({ dirs, clock, log })
      : createKubernetesSource({ ...platform, client: kubernetes, metrics: createKubernetesMetrics(registry) });
  await source.start();
  const findings = createMeshFindings();
  const mesh = createMeshState({
    ...{ source, clock, trustDomain },
    analyze: analyzeReferences,
    onFindings: findings.setConfigured,
    onChange(changed) {
      translator.update(changed);
      credentialCache.endRound();
      proxyConfigs.meshChanged();
      federation.meshChanged();
    },
  });
  const meshConfig = () => mesh.current().config;
  const federation = startFederation({ platform, trustDomain, secrets, meshConfig });
  const translator = createTranslator(mesh.current());
  const credentialCache = new BuildCache();
  const proxyConfigs = createProxyConfigs({
    ...{ translator, secrets, log },
    credentials: (proxy, owner) => grantedCredentials(mesh.current(), proxy, owner, credentialCache),
  });
  const ads = createAdsService({
    ...{ log, clock },
    source: proxyConfigs,
    acks: findings,
    authenticate: (_metadata, call) => authenticate(grpcCredentials(call)),
    metrics: createXdsMetrics(registry),
  });
  // What every proxy shares is made before the first one asks for it.
  translator.translate({ name: "", namespace: "default", ipAddress: "0.0.0.0", labels: {} });

  // Ports.
  const grpc = createGrpcServer({
    certificate: pemOf(serving.current()),
    clientRootsPem: authority.trustBundlePem(),
    log,
    maxConnectionAge: MAX_CONNECTION_AGE,
  });
  ads.register(grpc);
  const ca = { ...identity, trustBundlePem: authority.trustBundlePem };
  addCertificateService(grpc, ca);
  const injection = await loadInjectionConfig(config.injectionConfigFile);
  const injectionConfig = createMeshSettings(injection, meshConfig);
  const https = await createHttpsServer(
    serving.current(),
    [
      admissionRoutes({
        namespaceOf: (name) => mesh.current().namespaces.get(name),
        proxyConfigOf: (namespace, labels) =>
          selectProxyConfig(mesh.current().proxyConfigsFor(namespace), namespace, labels),
        get config() {
          return injectionConfig();
        },
        log,
        metrics: createInjectionMetrics(registry),
        ...(events !== null && { onDecision: (record) => recordInjection(record, events) }),
      }),
      validationRoutes({
        analyze: createReferenceAnalysis({ objects: () => source.current().objects, config: meshConfig }),
        log,
        metrics: createValidationMetrics(registry),
      }),
      caRoutes({ ...ca, log }),
    ],
    authority.trustBundlePem,
  );
  const monitoring = createMonitoringServer(registry);
  const unmeshed = createUnmeshedAudit({ mesh: mesh.current, config: injection, registry });
  const rotation = createRotation({
    ...{ config, platform, identity, ads, events },
    mayStep: () => leaderDuties === null || leaderDuties.isLeader(),
  });
  const debug = createDebugServer({
    authenticate,
    adminNamespace: systemNamespace,
    notReady: () => null,
    pages: {
      syncz: () => ads.status().map((row) => ({ namespace: row.namespace, row })),
      unmeshed: () => unmeshed().map((row) => ({ namespace: row.namespace, row })),
      findings: () => findings.all().map((row) => ({ namespace: row.object?.namespace ?? "", row })),
    },
  });
  await debug.register(
    authorityRoutes({ authority, rotator: rotation, authenticate, adminNamespace: systemNamespace, log }),
  );

  // What changes while it runs, and what one replica does for all.
  const leaderDuties =
    kubernetes === null || events === null
      ? null
      : startLeaderDuties({
          ...{ kubernetes, clock, random, log, events, instance, unmeshed, systemNamespace },
          revision: injection.revision,
          trustBundlePem: authority.trustBundlePem,
          rootCertificateMaps: config.rootCertificateMaps,
          mesh: mesh.current,
        });
  serving.onRenew((renewed) => {
    grpc.setCertificate(pemOf(renewed));
    https.setCertificate(renewed);
  });
  authority.onChange((changed) => {
    if (changed.trustBundle) {
      secrets.setTrustBundle(authority.trustBundlePem());
      grpc.setClientRoots(authority.trustBundlePem());
      https.setCertificate(serving.current());
      leaderDuties?.trustBundleChanged();
    }
    if (changed.signer) {
      serving.renewNow();
      secrets.renewAll(config.workloadCertTtlMs * RENEWAL_WINDOW_SHARE);
    }
  });

  const stop = async () => {
    await leaderDuties?.stop();
    events?.stop();
    rotation.stop();
    mesh.stop();
    federation.stop();
    await source.stop();
    identity.stop();
    await Promise.all([https.app.close(), monitoring.close(), debug.close()]);
    ads.stop();
    await grpc.stop(STOP_GRACE_MS);
    kubernetes?.close();
  };
  try {
    const ports = {
      grpc: await listenGrpc(grpc.listen, "--grpc-addr", config.grpc),
      plaintext:
        config.plaintext === null ? null : await listenGrpc(grpc.listenPlaintext, "--plaintext-addr", config.plaintext),
      https: await listen(https.app, "--https-addr", config.https),
      monitoring: await listen(monitoring, "--monitoring-addr", config.monitoring),
      // Last: whoever finds /ready finds everything else.
      http: await listen(debug, "--http-addr", config.http),
    };
    await rotation.start();
    log.info({ ports, services: mesh.current().services.length }, "ready");
    return { ports, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function pemOf({ chainPem, keyPem }: { chainPem: string; keyPem: { reveal(): Uint8Array } }) {
  return { certPem: chainPem, keyPem: Buffer.from(keyPem.reveal()).toString() };
}
