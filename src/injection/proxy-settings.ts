import type { InterceptionMode, ProxyConfig } from "../mesh/istio/mesh-proxy-config.ts";
import { ineffectiveFields } from "../mesh/istio/proxy-config-fields.ts";
import { checkAnnotations, invalidAnnotation, readAnnotation } from "./annotation-entry.ts";
import { parseBoolean } from "./annotation-values.ts";
import { ANNOTATION, ANNOTATION_BY_NAME } from "./annotations.ts";
import { durationSeconds } from "./duration-seconds.ts";
import { type ProxyIds, proxyIds } from "./identity-range.ts";
import type { InjectionConfig, ResourceRequirements } from "./injection-config.ts";
import { ownLimit } from "./own-limit.ts";
import { annotationsOf, type PodManifest } from "./pod.ts";
import { chosenStatusPort } from "./pod-contract.ts";
import { mergeProxyConfig } from "./proxy-config.ts";
import { proxyImage } from "./proxy-image.ts";
import { parseQuantity } from "./quantity.ts";
import { VOLUME_NAMES } from "./volume-names.ts";

/** Everything that annotations, ProxyConfigs and the mesh say about one pod's proxy, decided. */
export interface ProxySettings {
  /** What `trysail init` builds the bootstrap from. */
  readonly proxyConfig: ProxyConfig;
  readonly image: string;
  readonly logLevel: string;
  readonly componentLogLevel: string;
  /** Envoy's worker threads; 0 for one a CPU. */
  readonly concurrency: number;
  readonly resources: ResourceRequirements;
  readonly interceptionMode: InterceptionMode;
  readonly ids: ProxyIds;
  readonly isNative: boolean;
  /** A classic sidecar only: a native one always comes first. */
  readonly holdApplication: boolean;
  /** Where the pod chose that metrics, health and the app's probes are to be; undefined where it leaves that to us. */
  readonly statusPort: number | undefined;
  /** Null: the sidecar has no probes. */
  readonly readiness: Readonly<Record<"initialDelaySeconds" | "periodSeconds" | "failureThreshold", number>> | null;
  readonly drain: DrainSettings;
  readonly rewriteAppProbes: boolean;
  readonly mergeMetrics: boolean;
  readonly bootstrapConfigMap: string | undefined;
  readonly userVolumes: readonly { readonly name: string }[];
  readonly userVolumeMounts: readonly { readonly name: string }[];
  /** proxyMetadata as the environment has it. */
  readonly environment: Readonly<Record<string, string>>;
  /** Sentences for whoever creates the pod. */
  readonly warnings: readonly string[];
}

export interface DrainSettings {
  /** Over how long connections are asked to close. */
  readonly drainSeconds: number;
  /** How long a proxy that ends with its app keeps on. */
  readonly terminationSeconds: number;
  /** Waits for the last connection instead, but no shorter than this; null to not wait so. */
  readonly untilIdleSeconds: number | null;
}

export interface ProxySettingsInput {
  readonly pod: PodManifest;
  readonly namespaceAnnotations: Readonly<Record<string, string>>;
  readonly config: InjectionConfig;
  /** Of the ProxyConfig resources that select the pod. */
  readonly selected: ProxyConfig;
}

/** @throws TrysailError `invalid-argument` naming the annotation that cannot be read. */
export function buildProxySettings(input: ProxySettingsInput): ProxySettings {
  const { pod, config } = input;
  const written = annotationsOf(pod);
  const warnings = [...checkAnnotations(written, ANNOTATION_BY_NAME)];
  const own = readAnnotation(written, ANNOTATION.proxyConfig);
  if (own !== undefined) {
    const told = ineffectiveFields(own.config).map(({ name, reason }) => {
      const because = reason === "" ? "" : `: ${reason}`;
      return `annotation ${ANNOTATION.proxyConfig.name}: ${name} has no effect${because}`;
    });
    warnings.push(...own.warnings, ...told);
  }
  const merged = mergeProxyConfig(mergeProxyConfig(config.proxyConfig, input.selected), own?.config ?? {});
  const proxyConfig = withAnnotations(merged, written, config);
  const resources = readResources(written, config);
  const environment = texts(proxyConfig.proxyMetadata ?? {});
  return {
    proxyConfig,
    image: proxyImage({
      image: readAnnotation(written, ANNOTATION.proxyImage) ?? config.proxyImage,
      type: readAnnotation(written, ANNOTATION.proxyImageType) ?? proxyConfig.image?.imageType ?? "",
    }),
    logLevel: readAnnotation(written, ANNOTATION.logLevel) ?? config.proxyLogLevel,
    componentLogLevel: readAnnotation(written, ANNOTATION.componentLogLevel) ?? config.proxyComponentLogLevel,
    concurrency: proxyConfig.concurrency ?? concurrencyFor(resources, ownLimit(pod, "cpu")),
    resources,
    interceptionMode:
      readAnnotation(written, ANNOTATION.interceptionMode) ?? proxyConfig.interceptionMode ?? config.interceptionMode,
    ids: proxyIds(config.platform, input.namespaceAnnotations),
    isNative: readAnnotation(written, ANNOTATION.nativeSidecar) ?? config.nativeSidecars,
    holdApplication: proxyConfig.holdApplicationUntilProxyStarts ?? false,
    statusPort: chosenStatusPort(proxyConfig),
    readiness: readReadiness(written, proxyConfig),
    drain: readDrain(proxyConfig, environment),
    rewriteAppProbes: readAnnotation(written, ANNOTATION.rewriteAppProbes) ?? config.rewriteAppProbes,
    mergeMetrics: readAnnotation(written, ANNOTATION.mergeMetrics) ?? config.mergeMetrics,
    bootstrapConfigMap: readAnnotation(written, ANNOTATION.bootstrapOverride),
    userVolumes: readUserVolumes(written),
    userVolumeMounts: readAnnotation(written, ANNOTATION.userVolumeMount) ?? [],
    environment,
    warnings,
  };
}

/** Folds in the annotations that say what a field of ProxyConfig says, so that the bootstrap has one place to look. */
function withAnnotations(
  merged: ProxyConfig,
  written: Readonly<Record<string, string>>,
  config: InjectionConfig,
): ProxyConfig {
  const statsCompression = readAnnotation(written, ANNOTATION.statsCompression);
  const extraStatTags = readAnnotation(written, ANNOTATION.extraStatTags);
  const eviction = readAnnotation(written, ANNOTATION.statsEvictionInterval);
  const statusPort = readAnnotation(written, ANNOTATION.statusPort);
  const inclusion = {
    inclusionPrefixes: readAnnotation(written, ANNOTATION.statsInclusionPrefixes),
    inclusionSuffixes: readAnnotation(written, ANNOTATION.statsInclusionSuffixes),
    inclusionRegexps: readAnnotation(written, ANNOTATION.statsInclusionRegexps),
  };
  const inclusions = Object.entries(inclusion).flatMap(([name, list]) =>
    list === undefined ? [] : [[name, [...list]]],
  );
  return {
    ...merged,
    discoveryAddress:
      readAnnotation(written, ANNOTATION.discoveryAddress) ?? merged.discoveryAddress ?? config.discoveryAddress,
    ...(statsCompression === undefined ? {} : { statsCompression }),
    // 0 is about the probes alone.
    ...(statusPort === undefined || statusPort === 0 ? {} : { statusPort }),
    // Both count, as in Istio; the other lists replace what the ProxyConfig has.
    ...(extraStatTags === undefined
      ? {}
      : { extraStatTags: [...new Set([...(merged.extraStatTags ?? []), ...extraStatTags])] }),
    ...(eviction === undefined ? {} : { statsEvictionInterval: eviction }),
    ...(inclusions.length === 0
      ? {}
      : { proxyStatsMatcher: { ...merged.proxyStatsMatcher, ...Object.fromEntries(inclusions) } }),
  };
}

function readUserVolumes(written: Readonly<Record<string, string>>): ProxySettings["userVolumes"] {
  const volumes = readAnnotation(written, ANNOTATION.userVolume) ?? [];
  const taken = volumes.find(({ name }) => VOLUME_NAMES.includes(name));
  if (taken === undefined) return volumes;
  throw invalidAnnotation(ANNOTATION.userVolume, `the sidecar needs the name ${taken.name} for itself; choose another`);
}

/** Any of the four annotations replaces all of the defaults, as in Istio. */
function readResources(written: Readonly<Record<string, string>>, config: InjectionConfig): ResourceRequirements {
  const { proxyCpu, proxyMemory, proxyCpuLimit, proxyMemoryLimit } = ANNOTATION;
  const cpu = readAnnotation(written, proxyCpu);
  const memory = readAnnotation(written, proxyMemory);
  const cpuLimit = readAnnotation(written, proxyCpuLimit);
  const memoryLimit = readAnnotation(written, proxyMemoryLimit);
  if ([cpu, memory, cpuLimit, memoryLimit].every((amount) => amount === undefined)) return config.resources;
  if (exceeds(cpu, cpuLimit)) throw invalidAnnotation(proxyCpu, `${cpu} is more than the limit ${cpuLimit}`);
  if (exceeds(memory, memoryLimit))
    throw invalidAnnotation(proxyMemory, `${memory} is more than the limit ${memoryLimit}`);
  const requests = amounts(cpu, memory);
  const limits = amounts(cpuLimit, memoryLimit);
  return { ...(requests && { requests }), ...(limits && { limits }) };
}

function amounts(cpu: string | undefined, memory: string | undefined): Record<string, string> | null {
  if (cpu === undefined && memory === undefined) return null;
  return { ...(cpu === undefined ? {} : { cpu }), ...(memory === undefined ? {} : { memory }) };
}

function exceeds(request: string | undefined, limit: string | undefined): boolean {
  return request !== undefined && limit !== undefined && (parseQuantity(request) ?? 0) > (parseQuantity(limit) ?? 0);
}

/** More threads than CPUs would only wait for each other, and than Envoy's configuration may ask for help nobody. */
function concurrencyFor({ limits, requests }: ResourceRequirements, own: string | undefined): number {
  const cpus = parseQuantity(own ?? limits?.cpu ?? requests?.cpu ?? "2") ?? 2;
  return Math.min(Math.max(1, Math.ceil(cpus)), 1024);
}

function readReadiness(written: Readonly<Record<string, string>>, { readinessProbe = {} }: ProxyConfig) {
  if (readAnnotation(written, ANNOTATION.statusPort) === 0) return null;
  return {
    initialDelaySeconds:
      readAnnotation(written, ANNOTATION.initialDelaySeconds) ?? readinessProbe.initialDelaySeconds ?? 0,
    periodSeconds: readAnnotation(written, ANNOTATION.periodSeconds) ?? readinessProbe.periodSeconds ?? 15,
    failureThreshold: readAnnotation(written, ANNOTATION.failureThreshold) ?? readinessProbe.failureThreshold ?? 4,
  };
}

/** By the variables that Istio's agent reads. */
function readDrain(
  { drainDuration, terminationDrainDuration }: ProxyConfig,
  environment: Readonly<Record<string, string>>,
): DrainSettings {
  const { EXIT_ON_ZERO_ACTIVE_CONNECTIONS: untilIdle = "false" } = environment;
  const isUntilIdle = parseBoolean(untilIdle, "proxyMetadata EXIT_ON_ZERO_ACTIVE_CONNECTIONS");
  return {
    drainSeconds: drainDuration === undefined ? 45 : durationSeconds(drainDuration),
    terminationSeconds: terminationDrainDuration === undefined ? 5 : durationSeconds(terminationDrainDuration),
    untilIdleSeconds: isUntilIdle ? durationSeconds(environment.MINIMUM_DRAIN_DURATION ?? "5s") : null,
  };
}

function texts(values: Readonly<Record<string, string | number | boolean>>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]));
}
