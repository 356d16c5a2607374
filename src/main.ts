import { hostname } from "node:os";
import { collectDefaultMetrics, Registry } from "prom-client";
import { pemPairOf } from "./ca/serving/serving-certificate.ts";
import { caRoutes } from "./ca-api/api-routes.ts";
import { addCertificateService } from "./ca-api/certificate-service.ts";
import type { ServeConfig } from "./config.ts";
import { authenticateStream } from "./control-plane/authenticate-stream.ts";
import { authorityRoutes } from "./control-plane/authority-routes.ts";
import { createBuildMetrics } from "./control-plane/build-metrics.ts";
import { createConnectionGuards } from "./control-plane/connection-guards.ts";
import { createDebugPages } from "./control-plane/debug-pages.ts";
import { createDebugServer } from "./control-plane/debug-server.ts";
import { createEventMetrics } from "./control-plane/event-metrics.ts";
import { startFederation } from "./control-plane/federation.ts";
import { grantedCredentials } from "./control-plane/granted-credentials.ts";
import { createHttpsServer } from "./control-plane/https-server.ts";
import { openIdentity } from "./control-plane/identity.ts";
import { recordInjection } from "./control-plane/injection-events.ts";
import { createInjectionMetrics } from "./control-plane/injection-metrics.ts";
import { createRequestMetrics, recordLeadership } from "./control-plane/kubernetes-metrics.ts";
import { startLeaderDuties } from "./control-plane/leader-duties.ts";
import { listen, listenGrpc } from "./control-plane/listen.ts";
import { createMeshFindings } from "./control-plane/mesh-findings.ts";
import { createMeshSource } from "./control-plane/mesh-source.ts";
import { createMeshState } from "./control-plane/mesh-state.ts";
import { createMonitoringServer } from "./control-plane/monitoring-server.ts";
import { createNamespacesNow } from "./control-plane/namespaces-now.ts";
import { createProxyConfigs } from "./control-plane/proxy-configs.ts";
import { createReadinessServer, type ReadinessServer } from "./control-plane/readiness-server.ts";
import { createReferenceAnalysis } from "./control-plane/reference-analysis.ts";
import { createRotation } from "./control-plane/rotation.ts";
import { createStatusParts } from "./control-plane/status-parts.ts";
import { TAG_LABEL, tagSelector } from "./control-plane/tag-webhooks.ts";
import { createUnmeshedAudit } from "./control-plane/unmeshed.ts";
import { createValidationMetrics } from "./control-plane/validation-metrics.ts";
import { loadInjectionConfig } from "./injection/load-injection-config.ts";
import { createMeshSettings } from "./injection/mesh-settings.ts";
import { admissionRoutes } from "./injection/routes.ts";
import { connectKubernetes } from "./kubernetes/connect.ts";
import { createEventRecorder } from "./kubernetes/event-recorder.ts";
import { followRevisionTags } from "./kubernetes/revision-tags.ts";
import { analyzeReferences } from "./mesh/analyze.ts";
import { BuildCache } from "./platform/build-cache.ts";
import { systemClock } from "./platform/clock.ts";
import { createGrpcServer } from "./platform/grpc-server.ts";
import type { Logger } from "./platform/log.ts";
import type { Platform } from "./platform/platform.ts";
import { systemRandom } from "./platform/random.ts";
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
/** How long a connection that was asked to move on may finish what it does. */
const CONNECTION_AGE_GRACE_MS = 10_000;
/** Of a certificate's life: the time over which renewals spread when another authority signs. */
const RENEWAL_WINDOW_SHARE = 0.05;

/** Starts the control plane; `/ready` says from the first moment how far it is. */
export async function startControlPlane(config: ServeConfig, log: Logger): Promise<ControlPlane> {
  const readiness = createReadinessServer();
  const port = await listen(readiness.app, "--http-addr", config.http);
  try {
    return await startParts(config, log, readiness, port);
  } catch (error) {
    await readiness.app.close();
    throw error;
  }
}

/** Builds the control plane from its parts, in the order in which data flows through them, and starts them. */
async function startParts(
  config: ServeConfig,
  log: Logger,
  readiness: ReadinessServer,
  httpPort: number,
): Promise<ControlPlane> {
  const clock = systemClock;
  const random = systemRandom;
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const platform: Platform = { clock, random, log, registry };
  const { trustDomain, systemNamespace } = config;

  readiness.waitFor(() => "it waits for Kubernetes' API server");
  const kubernetes = await connectKubernetes(config.source, { clock, log, metrics: createRequestMetrics(registry) });
  const instance = hostname();
  const events =
    kubernetes === null
      ? null
      : createEventRecorder({ ...platform, client: kubernetes, instance, metrics: createEventMetrics(registry) });

  // Identity: the mesh's authority, what proves a caller, certificates for workloads and for the control plane itself.
  readiness.waitFor(() => "it opens the mesh's authority");
  const identity = await openIdentity({
    ...{ config, platform, kubernetes, events, instance },
    mesh: () => mesh.current(),
    waitFor: readiness.waitFor,
  });
  const { issuer, own, trustBundle, authenticate, serving, secrets } = identity;

  const injection = await loadInjectionConfig(config.injectionConfigFile, systemNamespace);

  // Configuration: files or Kubernetes → mesh → each proxy's resources → streams.
  const { clusterId } = injection;
  const { source, cluster, remotes } = createMeshSource({ config, platform, kubernetes, clusterId });
  readiness.waitFor(() => `it reads ${cluster === null ? "manifests" : `Kubernetes: ${cluster.pending().join(", ")}`}`);
  await source.start();
  readiness.waitFor(() => "it opens its ports");
  const findings = createMeshFindings();
  const statuses = createStatusParts({
    ...{ serve: config, platform, kubernetes, cluster, instance, revision: injection.revision },
    config: () => mesh.current().config,
    progress: () => ads.progress(),
  });
  statuses.meshChanged(source.current().objects);
  const mesh = createMeshState({
    ...{ source, clock, trustDomain, systemNamespace, clusterId },
    analyze: analyzeReferences,
    onFindings(found, objects) {
      findings.setConfigured(found);
      statuses.setFindings(found, objects);
    },
    onChange(changed, seenAtMs) {
      statuses.meshChanged(source.current().objects);
      translator.update(changed);
      credentialCache.endRound();
      ads.changeBegins(seenAtMs);
      proxyConfigs.meshChanged();
      federation.meshChanged();
    },
  });
  const meshConfig = () => mesh.current().config;
  const federation = startFederation({ platform, trustDomain, secrets, meshConfig });
  const builds = new BuildCache();
  createBuildMetrics(registry, builds);
  const translator = createTranslator(mesh.current(), builds);
  const credentialCache = new BuildCache();
  const proxyConfigs = createProxyConfigs({
    ...{ translator, secrets, log },
    credentials: (proxy, owner) =>
      identity.isRevoked(owner) ? [] : grantedCredentials(mesh.current(), proxy, owner, credentialCache),
  });
  const ads = createAdsService({
    ...{ log, clock },
    source: proxyConfigs,
    acks: findings,
    authenticate: (_metadata, call) => authenticateStream({ authenticate, server: grpc }, call),
    metrics: createXdsMetrics(registry),
  });
  // What every proxy shares is made before the first one asks for it.
  translator.translate({ name: "", namespace: "default", ipAddress: "0.0.0.0", labels: {} });

  // Ports.
  const guardOf = createConnectionGuards({ config, platform });
  const grpc = createGrpcServer({
    certificate: pemPairOf(serving.current()),
    clientTrust: trustBundle(),
    log,
    maxConnectionAge: { ageMs: config.maxConnectionAgeMs, graceMs: CONNECTION_AGE_GRACE_MS },
    connections: guardOf("grpc"),
  });
  ads.register(grpc);
  const ca = { ...identity, trustBundlePem: issuer.trustBundlePem };
  addCertificateService(grpc, { ...ca, log });
  const tags =
    kubernetes === null
      ? null
      : followRevisionTags({
          ...{ client: kubernetes, clock, random, log },
          labelSelector: tagSelector(injection.revision),
          label: TAG_LABEL,
        });
  const injectionConfig = createMeshSettings(injection, meshConfig, tags?.current);
  const https = await createHttpsServer(
    serving.current(),
    [
      admissionRoutes({
        ...createNamespacesNow(source, clock),
        proxyConfigsFor: (namespace) => mesh.current().proxyConfigsFor(namespace),
        get config() {
          return injectionConfig();
        },
        log,
        metrics: createInjectionMetrics(registry),
        ...(events !== null && { onDecision: (record) => recordInjection(record, events) }),
      }),
      validationRoutes({
        analyze: createReferenceAnalysis({ current: () => source.current(), config: meshConfig }),
        log,
        metrics: createValidationMetrics(registry),
      }),
      caRoutes({ ...ca, log }),
    ],
    trustBundle(),
    guardOf("https"),
  );
  const monitoring = createMonitoringServer(registry);
  const unmeshed = createUnmeshedAudit({ mesh: mesh.current, config: injectionConfig, registry });
  const mayStep = () => leaderDuties === null || leaderDuties.isLeader();
  const replicas = kubernetes === null ? null : { kubernetes, instance, revision: injection.revision };
  const rotation =
    own === null ? null : createRotation({ config, platform, own, secrets, ads, events, mayStep, cluster: replicas });
  const debug = createDebugServer({
    authenticate: identity.authenticateUnrevoked,
    adminNamespace: systemNamespace,
    notReady: readiness.notReady,
    pages: createDebugPages({ mesh, findings, statuses, ads, remotes, unmeshed, systemNamespace }),
  });
  await debug.register(
    authorityRoutes({
      ...{ authenticate: identity.authenticateUnrevoked, log, adminNamespace: systemNamespace },
      own: own === null || rotation === null ? null : { authority: own.authority, rotator: rotation },
    }),
  );

  // What changes while it runs, and what one replica does for all.
  const leaderDuties =
    kubernetes === null || events === null
      ? null
      : startLeaderDuties({
          ...{ kubernetes, clock, random, log, events, instance, unmeshed, systemNamespace },
          isPod: config.source.kind === "in-cluster",
          revision: injection.revision,
          trustBundlePem: issuer.trustBundlePem,
          rootCertificateMaps: config.rootCertificateMaps,
          ...(config.certificateRequests !== null && {
            certificateRequests: {
              ...config.certificateRequests,
              ...{ trustDomain, certify: identity.certifyRequester, metrics: identity.metrics },
            },
          }),
          mesh: mesh.current,
          findings: findings.all,
          ...(statuses.write !== undefined && { writeStatuses: statuses.write }),
        });
  if (leaderDuties !== null) recordLeadership(registry, leaderDuties.isLeader);
  serving.onRenew((renewed) => {
    grpc.setCertificate(pemPairOf(renewed));
    https.setCertificate(renewed);
  });
  issuer.onChange((changed) => {
    if (changed.trustBundle) {
      const trusted = trustBundle();
      secrets.setTrustBundle(trusted);
      grpc.setClientTrust(trusted);
      https.setClientTrust(trusted);
      leaderDuties?.trustBundleChanged();
    }
    if (changed.signer) {
      serving.renewNow();
      secrets.renewAll(config.workloadCertTtlMs * RENEWAL_WINDOW_SHARE);
    }
  });

  const stop = async () => {
    readiness.waitFor(() => "it stops");
    await leaderDuties?.stop();
    await statuses.stop();
    tags?.stop();
    events?.stop();
    await rotation?.stop();
    mesh.stop();
    federation.stop();
    await source.stop();
    identity.stop();
    await Promise.all([https.app.close(), monitoring.close(), readiness.app.close(), debug.close()]);
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
      http: httpPort,
    };
    await rotation?.start();
    await readiness.handOver(debug);
    // Last: whoever is told so finds everything else.
    readiness.ready();
    log.info({ ports, services: mesh.current().services.length }, "ready");
    return { ports, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
