import { analyzeDestinationRule } from "./analyze-destination-rule.ts";
import { analyzeGateway } from "./analyze-gateway.ts";
import { analyzeRateLimit } from "./analyze-rate-limit.ts";
import { analyzeServiceEntry } from "./analyze-service-entry.ts";
import { analyzeVirtualService } from "./analyze-virtual-service.ts";
import { analyzeWorkloadGroup } from "./analyze-workload-group.ts";
import { describeObject, type Finding, type FindingCode } from "./finding.ts";
import type { KnownObject } from "./kinds.ts";
import type { Service, ServicePort } from "./kubernetes/core.ts";
import { defaultMeshConfig } from "./mesh-config.ts";
import { MOST_PORTS, tcpPorts } from "./mesh-service.ts";
import { refOf } from "./object.ts";
import { declaredProtocol } from "./port-protocol.ts";
import { buildReferenceIndex, type Names, type ReferenceIndex, type Report, showLabels } from "./reference-index.ts";
import { analyzeRevocation } from "./revoked-principals.ts";

/** Of one object: a small one can name a hundred thousand others that are not there, and findings are kept. */
const MOST_FINDINGS = 100;

/**
 * What is wrong between objects that are each right: hosts, subsets, ports and workloads that nothing defines.
 * Warnings all of them: such objects are used, and often only early. The order follows that of `objects`, which may
 * refer to what is `elsewhere`.
 */
export function analyzeReferences(
  objects: readonly KnownObject[],
  config: Names = defaultMeshConfig,
  elsewhere: readonly KnownObject[] = [],
): Finding[] {
  return objects.flatMap(createReferenceAnalyzer([...objects, ...elsewhere], config));
}

/** Analyzes objects one by one, those of the mesh and new ones alike, by what `objects` define. */
export function createReferenceAnalyzer(
  objects: readonly KnownObject[],
  config: Names = defaultMeshConfig,
): (object: KnownObject) => Finding[] {
  const index = buildReferenceIndex(objects, config);
  return (object) => {
    const findings: Finding[] = [];
    const report: Report = (code, field, reason) => {
      if (findings.length < MOST_FINDINGS) findings.push(finding(object, code, field, reason));
      return findings.length < MOST_FINDINGS;
    };
    if (object.kind === "VirtualService") analyzeVirtualService(object, index, report);
    else if (object.kind === "DestinationRule") analyzeDestinationRule(object, index, report);
    else if (object.kind === "Gateway") analyzeGateway(object, index, report);
    else if (object.kind === "Service") analyzeService(object, report);
    else if (object.kind === "ServiceEntry") analyzeServiceEntry(object, index, report);
    else if (object.kind === "RateLimit") analyzeRateLimit(object, index, report);
    else if (object.kind === "WorkloadGroup") analyzeWorkloadGroup(report);
    else if (object.kind === "AuthorizationPolicy") analyzeRevocation(object, index, report);
    if (selectsWorkloads(object)) analyzeSelector(object, index, report);
    return findings;
  };
}

type Selecting = Extract<KnownObject, { kind: "AuthorizationPolicy" | "PeerAuthentication" | "RateLimit" }>;

function selectsWorkloads(object: KnownObject): object is Selecting {
  return ["AuthorizationPolicy", "PeerAuthentication", "RateLimit"].includes(object.kind);
}

function analyzeSelector({ metadata, spec }: Selecting, index: ReferenceIndex, report: Report): void {
  const labels = spec.selector?.matchLabels;
  if (labels === undefined || index.hasWorkload(metadata.namespace, labels)) return;
  const where = index.config.rootNamespaces.includes(metadata.namespace) ? "the mesh" : "its namespace";
  const reason = `selects ${showLabels(labels)}, but no workload in ${where} has these labels: correct them, or deploy the workload`;
  report("reference-missing", "spec.selector.matchLabels", reason);
}

function analyzeService({ spec }: Service, report: Report): void {
  for (const [at, port] of (spec.ports ?? []).entries()) analyzePort(port, `spec.ports[${at}]`, report);
  const known = tcpPorts(spec).length;
  if (known > MOST_PORTS) {
    const reason = `are ${known} of TCP, of which the mesh knows the first ${MOST_PORTS}: use several Services`;
    report("value-invalid", "spec.ports", reason);
  }
  if ((spec.ports ?? []).length > 0 || spec.type === "ExternalName" || spec.clusterIP === "None") return;
  report("value-invalid", "spec.ports", "is empty, so no traffic can be sent to the service: add its ports");
}

function analyzePort(port: ServicePort, path: string, report: Report): void {
  if ((port.protocol ?? "TCP") !== "TCP" || declaredProtocol(port) !== undefined) return;
  const reason =
    "declares no protocol, which is told from each connection's first bytes: set appProtocol, or begin its name with http, http2, grpc or tcp";
  report("value-invalid", path, reason);
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
    ...(object.metadata.generation === undefined ? {} : { generation: object.metadata.generation }),
    ...(object.origin === undefined ? {} : { origin: object.origin }),
  };
}
