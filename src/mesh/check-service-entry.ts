import { append } from "../platform/append.ts";
import { ipVersion } from "../platform/ip-version.ts";
import { isIpBlock } from "./check-authorization-policy.ts";
import { checkExportTo } from "./check-export-to.ts";
import { checkLabels } from "./check-labels.ts";
import { checkWorkloadEntry } from "./check-workload-entry.ts";
import { isDnsLabel } from "./dns-label.ts";
import { isUdp, type ServiceEntry } from "./istio/service-entry.ts";
import { declaredProtocol } from "./port-protocol.ts";
import { error, type Problem, warning } from "./problem.ts";

/** What Istio refuses in a ServiceEntry, and what Envoy would refuse of what is made of it. */
export function checkServiceEntry({ metadata, spec }: ServiceEntry): Problem[] {
  const { hosts, addresses = [], resolution = "NONE", endpoints = [], workloadSelector } = spec;
  const problems = [
    ...checkRepeatedHosts(hosts),
    ...checkExportTo(spec.exportTo, metadata.namespace),
    ...checkPorts(spec),
    ...checkLabels(workloadSelector?.labels, "spec.workloadSelector.labels"),
  ];
  const tooMany = checkSize(hosts.length, (spec.ports ?? []).length, addresses.length, endpoints.length);
  if (tooMany.length > 0) return [...problems, ...tooMany];
  for (const [index, host] of hosts.entries())
    append(problems, checkHost(host, resolution, `spec.hosts[${index}]`, spec));
  for (const [index, text] of addresses.entries()) {
    if (!isIpBlock(text))
      problems.push(
        error(`spec.addresses[${index}]`, `must be an IP address or a CIDR block, but is ${JSON.stringify(text)}`),
      );
    else if (text.includes("/") && resolution !== "NONE" && resolution !== "STATIC")
      problems.push(error(`spec.addresses[${index}]`, `is a CIDR block, which resolution ${resolution} cannot have`));
  }
  if (workloadSelector !== undefined && endpoints.length > 0)
    problems.push(error("spec.workloadSelector", "stands beside endpoints: keep one of them"));
  if (workloadSelector !== undefined && Object.keys(workloadSelector.labels ?? {}).length === 0)
    problems.push(error("spec.workloadSelector.labels", "is empty: name the labels of the workloads"));
  return [...problems, ...checkEndpoints(spec)];
}

/** What proxies are sent is a product: a few kilobytes could ask for more than a control plane has memory. */
const MOST_CLUSTERS = 10_000;
const MOST_ENDPOINTS = 100_000;

function checkSize(hosts: number, ports: number, addresses: number, endpoints: number): Problem[] {
  const problems: Problem[] = [];
  const so = `are ${hosts}, with ${ports} ports each`;
  if (hosts * ports * Math.max(1, addresses) > MOST_CLUSTERS) {
    const reason = `and ${addresses} addresses: ${MOST_CLUSTERS} in all is the most, so use wildcards, CIDR blocks, or several objects`;
    problems.push(error("spec.hosts", `${so} ${reason}`));
  } else if (hosts * ports * endpoints > MOST_ENDPOINTS) {
    const reason = `and ${endpoints} endpoints: ${MOST_ENDPOINTS} in all is the most, so use several objects`;
    problems.push(error("spec.hosts", `${so} ${reason}`));
  }
  return problems;
}

/** Istio takes them, as it does a wildcard beside a host that it covers. */
function checkRepeatedHosts(hosts: readonly string[]): Problem[] {
  const first = new Map<string, number>();
  return hosts.flatMap((text, index): Problem[] => {
    const host = text.toLowerCase();
    const known = first.get(host);
    first.set(host, known ?? index);
    if (known === undefined) return [];
    return [warning(`spec.hosts[${index}]`, `repeats spec.hosts[${known}]: it is a host once`)];
  });
}

function checkHost(host: string, resolution: string, path: string, spec: ServiceEntry["spec"]): Problem[] {
  const { location, endpoints = [], workloadSelector } = spec;
  if (host === "*") return [error(path, "is *, which would take every host there is: name the hosts")];
  if (!host.startsWith("*")) {
    return resolution === "DYNAMIC_DNS"
      ? [error(path, "is no wildcard, which resolution DYNAMIC_DNS is for: use resolution DNS")]
      : [];
  }
  if (resolution === "DNS" || resolution === "DNS_ROUND_ROBIN") {
    if (endpoints.length > 0 || workloadSelector !== undefined) return [];
    const reason = `is a wildcard, which has no address in DNS for resolution ${resolution}: name endpoints, or use NONE`;
    return [error(path, reason)];
  }
  return resolution === "DYNAMIC_DNS" && location === "MESH_INTERNAL"
    ? [error("spec.location", "is MESH_INTERNAL, which resolution DYNAMIC_DNS cannot have")]
    : [];
}

function checkPorts({ ports = [], resolution }: ServiceEntry["spec"]): Problem[] {
  const names = new Map<string, number>();
  const numbers = new Map<number, number>();
  return ports.flatMap((port, index): Problem[] => {
    const path = `spec.ports[${index}]`;
    const problems: Problem[] = [];
    const [sameName, sameNumber] = [names.get(port.name), numbers.get(port.number)];
    if (sameName !== undefined)
      problems.push(error(`${path}.name`, `is ${port.name}, as that of spec.ports[${sameName}]`));
    if (sameNumber !== undefined)
      problems.push(error(`${path}.number`, `is ${port.number}, as that of spec.ports[${sameNumber}]`));
    names.set(port.name, index);
    numbers.set(port.number, index);
    if (!isDnsLabel(port.name)) problems.push(error(`${path}.name`, "is not a port's name, such as http"));
    const protocol = port.protocol ?? "";
    if (isUdp(port)) {
      problems.push(warning(`${path}.protocol`, "is UDP, which the mesh leaves alone: the port has no effect"));
    } else if (protocol !== "" && declaredProtocol({ appProtocol: protocol }) === undefined) {
      problems.push(
        error(`${path}.protocol`, `is ${protocol}: use HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TLS, TCP, MONGO or MYSQL`),
      );
    }
    if (
      resolution === "DYNAMIC_DNS" &&
      !["http", "http2", "grpc-web", "tls"].includes(declaredProtocol({ appProtocol: protocol }) ?? "")
    ) {
      problems.push(
        error(`${path}.protocol`, "must tell the host for resolution DYNAMIC_DNS: use HTTP, HTTP2, GRPC, HTTPS or TLS"),
      );
    }
    return problems;
  });
}

function checkEndpoints({
  resolution = "NONE",
  endpoints = [],
  workloadSelector,
  addresses = [],
  ports = [],
}: ServiceEntry["spec"]): Problem[] {
  const known = new Set(ports.map(({ name }) => name));
  const problems = endpoints.flatMap((endpoint, index) => {
    const path = `spec.endpoints[${index}]`;
    const wrong = [...checkWorkloadEntry(endpoint, path), ...checkSocket(endpoint.address, resolution, path)];
    const strange = Object.keys(endpoint.ports ?? {}).filter((name) => !known.has(name));
    return [
      ...wrong,
      ...strange.map((name) => error(`${path}.ports`, `names ${name}, which is none of the names in spec.ports`)),
      ...(wrong.length === 0 &&
      resolution === "STATIC" &&
      !isAddress(endpoint.address ?? "") &&
      endpoint.address !== undefined
        ? [
            error(
              `${path}.address`,
              "must be an IP address or unix:///PATH for resolution STATIC: use DNS for host names",
            ),
          ]
        : []),
    ];
  });
  const needsNone = resolution === "NONE" || resolution === "DYNAMIC_DNS";
  if (needsNone && endpoints.length > 0)
    problems.push(
      error("spec.endpoints", `cannot be with resolution ${resolution}: use STATIC or DNS, or remove them`),
    );
  if (resolution === "DNS_ROUND_ROBIN" && endpoints.length > 1)
    problems.push(
      error("spec.endpoints", "has several, but resolution DNS_ROUND_ROBIN follows one name only: use DNS"),
    );
  if (resolution === "STATIC" && endpoints.length === 0 && workloadSelector === undefined && addresses.length === 0)
    problems.push(
      warning(
        "spec.endpoints",
        "is empty, so nobody answers: resolution STATIC takes endpoints, or a workloadSelector",
      ),
    );
  return problems;
}

/** Nobody would find it in DNS. */
function checkSocket(address = "", resolution: string, path: string): Problem[] {
  const isByDns = resolution === "DNS" || resolution === "DNS_ROUND_ROBIN";
  if (!isByDns || !address.startsWith("unix://")) return [];
  return [error(`${path}.address`, "is a socket, which needs resolution STATIC")];
}

function isAddress(text: string): boolean {
  return ipVersion(text) !== null || text.startsWith("unix://");
}
