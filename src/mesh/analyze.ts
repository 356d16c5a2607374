import { describeObject, type Finding, type FindingCode } from "./finding.ts";
import { hostMatches, resolveHost } from "./hostname.ts";
import type { DestinationRule } from "./istio/destination-rule.ts";
import type { VirtualService } from "./istio/virtual-service.ts";
import type { KnownObject } from "./kinds.ts";
import type { Service, ServicePort } from "./kubernetes/core.ts";
import { labelsMatch } from "./labels.ts";
import { defaultMeshConfig, type MeshConfig } from "./mesh-config.ts";
import { declaredProtocol } from "./mesh-service.ts";
import { refOf } from "./object.ts";
import { objectsByKind } from "./objects-by-kind.ts";
import { buildMutualTlsModes } from "./peer-authentication-mode.ts";

type Names = Pick<MeshConfig, "domain" | "rootNamespaces">;
type Labels = Readonly<Record<string, string>>;
type Destination = NonNullable<NonNullable<VirtualService["spec"]["http"]>[number]["route"]>[number]["destination"];

/**
 * What is wrong between objects that are each right: hosts, subsets, ports and workloads that nothing defines.
 * Warnings all of them: such objects are used, and often only early. The order follows that of `objects`.
 */
export function analyzeReferences(objects: readonly KnownObject[], config: Names = defaultMeshConfig): Finding[] {
  return objects.flatMap(createReferenceAnalyzer(objects, config));
}

/** Analyzes objects one by one, those of the mesh and new ones alike, by what `objects` define. */
export function createReferenceAnalyzer(
  objects: readonly KnownObject[],
  config: Names = defaultMeshConfig,
): (object: KnownObject) => Finding[] {
  const index = buildIndex(objects, config);
  return (object) => {
    const findings: Finding[] = [];
    const report: Report = (code, field, reason) => findings.push(finding(object, code, field, reason));
    if (object.kind === "VirtualService") analyzeVirtualService(object, index, report);
    else if (object.kind === "DestinationRule") analyzeDestinationRule(object, index, report);
    else if (object.kind === "Service") analyzeService(object, report);
    else if (object.kind === "AuthorizationPolicy" || object.kind === "PeerAuthentication") {
      const labels = object.spec.selector?.matchLabels;
      if (labels !== undefined && !index.hasWorkload(object.metadata.namespace, labels)) {
        const where = index.config.rootNamespaces.includes(object.metadata.namespace) ? "the mesh" : "its namespace";
        const reason = `selects ${showLabels(labels)}, but no workload in ${where} has these labels: correct them, or deploy the workload`;
        report("reference-missing", "spec.selector.matchLabels", reason);
      }
    }
    return findings;
  };
}

type Report = (code: FindingCode, field: string, reason: string) => void;

interface Index {
  readonly config: Names;
  service(host: string, namespace: string): Service | undefined;
  hasServiceLike(pattern: string): boolean;
  /** Whether a subset of the host is defined; undefined where no rule is for the host at all. */
  hasSubset(host: string, namespace: string, subset: string): boolean | undefined;
  hasWorkload(namespace: string, labels: Labels): boolean;
  workloadsOf(service: Service): readonly Labels[];
  /** Whether workloads with these labels take mutual TLS only, whatever the port. */
  isStrict(namespace: string, labels: Labels): boolean;
}

function buildIndex(objects: readonly KnownObject[], config: Names): Index {
  const of = objectsByKind(objects);
  const fullName = (host: string, namespace: string) => resolveHost(host, namespace, config.domain).toLowerCase();
  const services = new Map(
    of.Service.map((service) => [fullName(service.metadata.name, service.metadata.namespace), service]),
  );
  const subsets = new Map<string, Set<string>>();
  for (const { metadata, spec } of of.DestinationRule) {
    const host = fullName(spec.host, metadata.namespace);
    const names = subsets.get(host) ?? new Set();
    for (const { name } of spec.subsets ?? []) names.add(name);
    subsets.set(host, names);
  }
  const wildcards = [...subsets].filter(([host]) => host.startsWith("*"));
  const workloads = new Map<string, Labels[]>();
  const addWorkload = (namespace: string, labels: Labels) => {
    const known = workloads.get(namespace);
    if (known === undefined) workloads.set(namespace, [labels]);
    else known.push(labels);
  };
  for (const { metadata } of of.Pod) addWorkload(metadata.namespace, metadata.labels);
  for (const { metadata, spec } of of.WorkloadController) {
    addWorkload(metadata.namespace, spec.template.metadata?.labels ?? {});
  }
  const policiesIn = Map.groupBy(of.PeerAuthentication, ({ metadata }) => metadata.namespace);
  const matches = (namespace: string, labels: Labels) =>
    (workloads.get(namespace) ?? []).filter((workload) => labelsMatch(labels, workload));
  return {
    config,
    service: (host, namespace) => services.get(fullName(host, namespace)),
    hasServiceLike: (pattern) => [...services.keys()].some((host) => hostMatches(pattern, host)),
    hasSubset(host, namespace, subset) {
      const name = fullName(host, namespace);
      const rules = [
        subsets.get(name),
        ...wildcards.map(([pattern, names]) => (hostMatches(pattern, name) ? names : undefined)),
      ];
      const found = rules.filter((names) => names !== undefined);
      return found.length === 0 ? undefined : found.some((names) => names.has(subset));
    },
    hasWorkload: (namespace, labels) =>
      (config.rootNamespaces.includes(namespace) ? [...workloads.keys()] : [namespace]).some((name) =>
        (workloads.get(name) ?? []).some((workload) => labelsMatch(labels, workload)),
      ),
    workloadsOf: ({ metadata, spec }) =>
      Object.keys(spec.selector ?? {}).length === 0 ? [] : matches(metadata.namespace, spec.selector ?? {}),
    isStrict(namespace, labels) {
      const reaching = [...config.rootNamespaces, namespace];
      const policies = new Set(reaching.flatMap((name) => policiesIn.get(name) ?? []));
      const { mode, byPort } = buildMutualTlsModes([...policies], labels, namespace);
      return mode === "STRICT" && Object.values(byPort).every((portMode) => portMode === "STRICT");
    },
  };
}

function analyzeVirtualService({ metadata, spec }: VirtualService, index: Index, report: Report): void {
  for (const [at, http] of (spec.http ?? []).entries()) {
    for (const [to, { destination }] of (http.route ?? []).entries()) {
      analyzeDestination(destination, metadata.namespace, index, `spec.http[${at}].route[${to}].destination`, report);
    }
  }
}

function analyzeDestination(
  destination: Destination,
  namespace: string,
  index: Index,
  path: string,
  report: Report,
): void {
  const { host, subset, port } = destination;
  const service = index.service(host, namespace);
  if (service === undefined) {
    report("reference-missing", `${path}.host`, `names ${unknownHost(host, namespace, index)}`);
    return;
  }
  const ports = (service.spec.ports ?? []).map((known) => known.port);
  if (port !== undefined && !ports.includes(port.number)) {
    const known = ports.length === 0 ? "has no ports" : `has only ${ports.join(", ")}`;
    report(
      "reference-missing",
      `${path}.port.number`,
      `is ${port.number}, but ${describeObject(refOf(service))} ${known}`,
    );
  }
  if (subset === undefined || index.hasSubset(host, namespace, subset) === true) return;
  const reason = `names subset ${subset}, but no DestinationRule for ${host} defines it: requests sent there fail, so add it to spec.subsets of one`;
  report("reference-missing", `${path}.subset`, reason);
}

function analyzeDestinationRule({ metadata, spec }: DestinationRule, index: Index, report: Report): void {
  if (spec.host.startsWith("*")) {
    if (!index.hasServiceLike(spec.host))
      report("reference-missing", "spec.host", `is ${spec.host}, which no Service matches`);
    return;
  }
  const service = index.service(spec.host, metadata.namespace);
  if (service === undefined) {
    report("reference-missing", "spec.host", `names ${unknownHost(spec.host, metadata.namespace, index)}`);
    return;
  }
  const workloads = index.workloadsOf(service);
  if (workloads.length === 0) return;
  const refuses = workloads.find((labels) => index.isStrict(service.metadata.namespace, labels));
  if (spec.trafficPolicy?.tls?.mode === "DISABLE" && refuses !== undefined) {
    const reason = `is DISABLE, but a PeerAuthentication makes workloads behind ${spec.host} (${showLabels(refuses)}) take mutual TLS only: they refuse every request`;
    report("value-invalid", "spec.trafficPolicy.tls.mode", reason);
  }
  for (const [at, { name, labels }] of (spec.subsets ?? []).entries()) {
    if (workloads.some((workload) => labelsMatch(labels, workload))) continue;
    const reason = `of subset ${name} are ${showLabels(labels ?? {})}, but no workload behind ${spec.host} has them: requests to the subset fail`;
    report("reference-missing", `spec.subsets[${at}].labels`, reason);
  }
}

function analyzeService({ spec }: Service, report: Report): void {
  for (const [at, port] of (spec.ports ?? []).entries()) analyzePort(spec.clusterIP, port, `spec.ports[${at}]`, report);
  if ((spec.ports ?? []).length > 0 || spec.type === "ExternalName" || spec.clusterIP === "None") return;
  report("value-invalid", "spec.ports", "is empty, so no traffic can be sent to the service: add its ports");
}

function analyzePort(clusterIP: string | undefined, port: ServicePort, path: string, report: Report): void {
  if ((port.protocol ?? "TCP") !== "TCP") return;
  const protocol = declaredProtocol(port);
  if (protocol === undefined) {
    const reason =
      "declares no protocol, and is taken as TCP: set appProtocol, or begin its name with http, http2, grpc or tcp";
    report("value-invalid", path, reason);
  } else if (protocol === "tcp" && clusterIP === "None") {
    const reason = "is TCP of a headless service, which sidecars pass on as it comes, without mutual TLS, for now";
    report("field-unsupported", path, reason);
  }
}

/** `host, which no Service has`, and what was probably meant. */
function unknownHost(host: string, namespace: string, { config, service }: Index): string {
  const full = resolveHost(host, namespace, config.domain);
  const [name = "", inNamespace, svc] = host.split(".");
  if (inNamespace !== undefined && (svc === undefined || svc === "svc") && service(name, inNamespace) !== undefined) {
    return `${host}, which is taken as a full host name: write ${resolveHost(name, inNamespace, config.domain)}`;
  }
  const shown = full === host ? host : `${host} (${full})`;
  return `${shown}, but there is no such Service: correct the name, or add the Service`;
}

function showLabels(labels: Labels): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(", ");
}

function finding(object: KnownObject, code: FindingCode, field: string, reason: string): Finding {
  const ref = refOf(object);
  const message = `${describeObject(ref)}: ${field} ${reason}`;
  return {
    severity: "warning",
    code,
    message,
    object: ref,
    field,
    ...(object.origin === undefined ? {} : { origin: object.origin }),
  };
}
