import { collectDefaultMetrics, Registry } from "prom-client";
import { bearerToken, createTokenAuthenticator } from "./ca/authenticate.ts";
import { loadAuthority } from "./ca/authority.ts";
import { issue } from "./ca/issue.ts";
import { createServingCertificate } from "./ca/serving-certificate.ts";
import { loadTokenIssuer, TOKEN_AUDIENCE } from "./ca/token-issuer.ts";
import type { ServeConfig } from "./config.ts";
import { createDebugServer } from "./control-plane/debug-server.ts";
import { createHttpsServer } from "./control-plane/https-server.ts";
import { createInjectionMetrics } from "./control-plane/injection-metrics.ts";
import { listen, listenGrpc } from "./control-plane/listen.ts";
import { createMeshFindings } from "./control-plane/mesh-findings.ts";
import { createMeshState } from "./control-plane/mesh-state.ts";
import { createMonitoringServer } from "./control-plane/monitoring-server.ts";
import { createProxyConfigs } from "./control-plane/proxy-configs.ts";
import { createReferenceAnalysis } from "./control-plane/reference-analysis.ts";
import { createUnmeshedAudit } from "./control-plane/unmeshed.ts";
import { createValidationMetrics } from "./control-plane/validation-metrics.ts";
import { loadInjectionConfig } from "./injection/load-injection-config.ts";
import { admissionRoutes } from "./injection/routes.ts";
import { selectProxyConfig } from "./injection/select-proxy-config.ts";
import { analyzeReferences } from "./mesh/analyze.ts";
import { systemClock } from "./platform/clock.ts";
import { createGrpcServer } from "./platform/grpc-server.ts";
import type { Logger } from "./platform/log.ts";
import { systemRandom } from "./platform/random.ts";
import { openStateDir } from "./platform/state-dir.ts";
import { createWorkloadSecrets } from "./sds/workload-secrets.ts";
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

const SYSTEM_NAMESPACE = "trysail-system";
const MAX_CERT_TTL_MS = 90 * 86_400_000;
const STOP_GRACE_MS = 2000;
/** A proxy that comes back shows its token anew, so that none outlives its own for long. */
const MAX_CONNECTION_AGE = { ageMs: 30 * 60_000, graceMs: 10_000 };

/** Builds the control plane from its parts, in the order in which data flows through them, and starts it. */
export async function startControlPlane(config: ServeConfig, log: Logger): Promise<ControlPlane> {
  const clock = systemClock;
  const random = systemRandom;
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });

  // Identity: the mesh's root, the issuer of workload tokens, the control plane's own certificate.
  const state = await openStateDir(config.stateDir);
  const authority = await loadAuthority({ state, clock, trustDomain: config.trustDomain, log });
  const issuer = await loadTokenIssuer({ state, clock });
  const authenticate = createTokenAuthenticator({
    issuer,
    audience: TOKEN_AUDIENCE,
    clock,
    trustDomain: config.trustDomain,
  });
  const hosts = [...SERVING_NAMES, ...config.servingNames];
  const serving = createServingCertificate({ signer: authority.signer, clock, log, hosts });
  await serving.start();
  const secrets = createWorkloadSecrets({
    issue: (request) => issue({ signer: authority.signer, clock, maxTtlMs: MAX_CERT_TTL_MS }, request),
    trustBundle: authority.trustBundlePem,
    clock,
    random,
    ttlMs: config.workloadCertTtlMs,
    log,
  });

  const injection = await loadInjectionConfig(config.injectionConfigFile);

  // Configuration: files → mesh → each proxy's resources → streams.
  const source = createFileSource({ dirs: [...config.configDirs], clock, log });
  await source.start();
  const findings = createMeshFindings();
  const mesh = createMeshState({
    source,
    clock,
    trustDomain: config.trustDomain,
    analyze: analyzeReferences,
    onFindings: findings.setConfigured,
    onChange(changed) {
      translator.update(changed);
      proxyConfigs.meshChanged();
    },
  });
  const translator = createTranslator(mesh.current());
  const proxyConfigs = createProxyConfigs({ translator, secrets, log });
  const ads = createAdsService({
    source: proxyConfigs,
    acks: findings,
    authenticate: (metadata) => authenticate(bearerToken(metadata.get("authorization")[0]?.toString())),
    log,
    clock,
    metrics: createXdsMetrics(registry),
  });
  // What every proxy shares is made before the first one asks for it.
  translator.translate({ name: "", namespace: "default", ipAddress: "0.0.0.0", labels: {} });

  // Ports.
  const grpc = createGrpcServer({
    certificate: pemOf(serving.current()),
    clientRootsPem: authority.trustBundlePem,
    log,
    maxConnectionAge: MAX_CONNECTION_AGE,
  });
  ads.register(grpc);
  const https = await createHttpsServer(serving.current(), [
    admissionRoutes({
      namespaceOf: (name) => mesh.current().namespaces.get(name),
      proxyConfigOf: (namespace, labels) =>
        selectProxyConfig(mesh.current().proxyConfigsFor(namespace), namespace, labels),
      config: injection,
      log,
      metrics: createInjectionMetrics(registry),
    }),
    validationRoutes({
      analyze: createReferenceAnalysis({
        objects: () => source.current().objects,
        config: () => mesh.current().config,
      }),
      log,
      metrics: createValidationMetrics(registry),
    }),
  ]);
  serving.onRenew((renewed) => {
    grpc.setCertificate(pemOf(renewed));
    https.setCertificate(renewed);
  });
  const monitoring = createMonitoringServer(registry);
  const unmeshed = createUnmeshedAudit({ mesh: mesh.current, config: injection, registry });
  const debug = createDebugServer({
    authenticate,
    adminNamespace: SYSTEM_NAMESPACE,
    notReady: () => null,
    pages: {
      syncz: () => ads.status().map((row) => ({ namespace: row.namespace, row })),
      unmeshed: () => unmeshed().map((row) => ({ namespace: row.namespace, row })),
      findings: () => findings.all().map((row) => ({ namespace: row.object?.namespace ?? "", row })),
    },
  });

  const stop = async () => {
    mesh.stop();
    await source.stop();
    serving.stop();
    await Promise.all([https.app.close(), monitoring.close(), debug.close()]);
    ads.stop();
    await grpc.stop(STOP_GRACE_MS);
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
    log.info({ ports, services: mesh.current().services.size }, "ready");
    return { ports, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

const SERVICE = `trysail.${SYSTEM_NAMESPACE}.svc`;
const SERVING_NAMES = [SERVICE, `${SERVICE}.cluster.local`, "trysail", "localhost", "127.0.0.1", "::1"];

function pemOf({ chainPem, keyPem }: { chainPem: string; keyPem: { reveal(): Uint8Array } }) {
  return { certPem: chainPem, keyPem: Buffer.from(keyPem.reveal()).toString() };
}
