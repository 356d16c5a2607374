import { checkLabels } from "./check-labels.ts";
import { checkWorkloadTemplate } from "./check-workload-entry.ts";
import type { WorkloadGroup } from "./istio/workload-group.ts";
import { error, type Problem } from "./problem.ts";

/** What Istio refuses of what a set of machines has in common. */
export function checkWorkloadGroup({ spec }: WorkloadGroup): Problem[] {
  const { metadata, template, probe } = spec;
  return [
    ...checkLabels(metadata?.labels, "spec.metadata.labels"),
    ...checkWorkloadTemplate(template, "spec.template"),
    ...(probe === undefined ? [] : checkProbe(probe, "spec.probe")),
  ];
}

/** Kubernetes' rule for probes, stricter than HTTP's. */
const HEADER_NAME = /^[-_A-Za-z0-9]+$/;

type Probe = NonNullable<WorkloadGroup["spec"]["probe"]>;

function checkProbe({ httpGet, tcpSocket, exec, grpc }: Probe, path: string): Problem[] {
  const ways = Object.entries({ httpGet, tcpSocket, exec, grpc }).filter(([, way]) => way !== undefined);
  const problems: Problem[] = [];
  if (ways.length !== 1) problems.push(error(path, "must say one way to ask: httpGet, tcpSocket, exec or grpc"));
  for (const [field, way] of Object.entries({ httpGet, tcpSocket, grpc })) {
    if (way?.port === 0) problems.push(error(`${path}.${field}.port`, "must be a port number from 1 to 65535"));
  }
  if (exec !== undefined && (exec.command ?? []).length === 0) {
    problems.push(error(`${path}.exec.command`, "is missing: it is required"));
  }
  if (!["", "HTTP", "HTTPS"].includes((httpGet?.scheme ?? "").toUpperCase())) {
    problems.push(error(`${path}.httpGet.scheme`, `must be HTTP or HTTPS, but is ${JSON.stringify(httpGet?.scheme)}`));
  }
  for (const [index, { name = "" }] of (httpGet?.httpHeaders ?? []).entries()) {
    if (!HEADER_NAME.test(name))
      problems.push(error(`${path}.httpGet.httpHeaders[${index}].name`, "is not a header's name"));
  }
  return problems;
}
