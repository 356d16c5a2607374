import { ipVersion } from "../platform/ip-version.ts";
import { checkDurations } from "./check-durations.ts";
import { checkLabels } from "./check-labels.ts";
import type { EgressListener, IngressListener, Sidecar } from "./istio/sidecar.ts";
import { declaredProtocol } from "./port-protocol.ts";
import { error, type Problem, warning } from "./problem.ts";
import { bindsItself, capturesItself, DNS_CAPTURE_PORT } from "./proxy-ports.ts";
import { parseDefaultEndpoint, parseEgressHost } from "./sidecar-text.ts";
import { parseSocket } from "./socket-path.ts";

/** What Istio refuses in a Sidecar, and what Envoy would refuse of what is made of it. */
export function checkSidecar({ spec }: Sidecar): Problem[] {
  const { egress = [], ingress = [], outboundTrafficPolicy } = spec;
  const says = [spec.egress, spec.ingress, outboundTrafficPolicy, spec.inboundConnectionPool];
  const problems = [
    ...(says.every((part) => part === undefined || (Array.isArray(part) && part.length === 0))
      ? [error("spec", "says nothing: give it egress, ingress, outboundTrafficPolicy or inboundConnectionPool")]
      : []),
    ...checkSize(egress, ingress),
    ...checkLabels(spec.workloadSelector?.labels, "spec.workloadSelector.labels"),
    ...egress.flatMap((listener, index) => checkEgress(listener, index === egress.length - 1, `spec.egress[${index}]`)),
    ...repeated(egress, "spec.egress"),
    ...taken(egress, "spec.egress", ({ bind, captureMode }, number) =>
      captureMode === "NONE"
        ? bindsItself(bind || "127.0.0.1", number, true)
        : capturesItself(bind || "0.0.0.0", number),
    ),
    ...ingress.flatMap((listener, index) => checkIngress(listener, `spec.ingress[${index}]`)),
    ...repeated(ingress, "spec.ingress"),
    ...taken(ingress, "spec.ingress", ({ bind, captureMode }, number) =>
      captureMode === "NONE" ? bindsItself(bind || "0.0.0.0", number, true) : false,
    ),
  ];
  if (outboundTrafficPolicy?.egressProxy !== undefined && outboundTrafficPolicy.mode === "REGISTRY_ONLY") {
    problems.push(
      error(
        "spec.outboundTrafficPolicy.egressProxy",
        "is for mode ALLOW_ANY only: unknown hosts are refused otherwise",
      ),
    );
  }
  if (outboundTrafficPolicy?.egressProxy !== undefined && outboundTrafficPolicy.egressProxy.port === undefined) {
    problems.push(error("spec.outboundTrafficPolicy.egressProxy.port", "is missing: it is required"));
  }
  return [...problems, ...checkDurations(spec, "spec")];
}

/** Each listener is asked of every service of the mesh, and so is each host: thousands would hold up everybody's changes. */
const MOST_LISTENERS = 256;
const MOST_HOSTS = 2000;

function checkSize(egress: readonly EgressListener[], ingress: readonly IngressListener[]): Problem[] {
  const hosts = egress.reduce((sum, listener) => sum + listener.hosts.length, 0);
  return [
    ...Object.entries({ egress, ingress }).flatMap(([field, listeners]) =>
      listeners.length > MOST_LISTENERS
        ? [error(`spec.${field}`, `has ${listeners.length} listeners: ${MOST_LISTENERS} is the most`)]
        : [],
    ),
    ...(hosts > MOST_HOSTS
      ? [error("spec.egress", `has ${hosts} hosts: ${MOST_HOSTS} is the most, so use wildcards, such as NAMESPACE/*`)]
      : []),
  ];
}

function checkEgress(listener: EgressListener, isLast: boolean, path: string): Problem[] {
  const problems: Problem[] = [];
  for (const [index, text] of listener.hosts.entries()) {
    if (parseEgressHost(text, "") === null) {
      const reason = `must be NAMESPACE/HOST, with * or . for the namespace, ~ before what is left out, and perhaps a wildcard for the host, but is ${JSON.stringify(text)}`;
      problems.push(error(`${path}.hosts[${index}]`, reason));
    }
  }
  if (listener.port === undefined) {
    if (!isLast)
      problems.push(
        error(path, "has no port, which takes the services that no other listener names: move it to the end"),
      );
    if ((listener.bind ?? "") !== "") problems.push(error(`${path}.bind`, "needs a port beside it"));
    if (listener.captureMode === "NONE") problems.push(error(`${path}.captureMode`, "is NONE, which needs a port"));
  }
  return [
    ...problems,
    ...checkBind(listener.bind, `${path}.bind`),
    ...checkProtocol(listener.port?.protocol, `${path}.port.protocol`),
  ];
}

function checkIngress(listener: IngressListener, path: string): Problem[] {
  const problems = checkProtocol(listener.port.protocol, `${path}.port.protocol`);
  const { bind = "", defaultEndpoint = "" } = listener;
  if (bind !== "" && ipVersion(bind) === null) {
    problems.push(error(`${path}.bind`, `must be an IP address, but is ${JSON.stringify(bind)}`));
  }
  if (defaultEndpoint !== "" && parseDefaultEndpoint(defaultEndpoint) === null) {
    const reason = `must be 127.0.0.1:PORT, 0.0.0.0:PORT, [::1]:PORT, [::]:PORT, :PORT or unix:///PATH, but is ${JSON.stringify(defaultEndpoint)}`;
    problems.push(error(`${path}.defaultEndpoint`, reason));
  }
  return problems;
}

/** Two listeners cannot be in one place. */
function repeated(listeners: readonly (EgressListener | IngressListener)[], path: string): Problem[] {
  const first = new Map<string, number>();
  return listeners.flatMap(({ bind = "", port }, index): Problem[] => {
    if (port === undefined) return [];
    const place = bind.startsWith("unix://") ? bind : `${bind}:${port.number}`;
    const known = first.get(place);
    first.set(place, known ?? index);
    return known === undefined
      ? []
      : [error(`${path}[${index}].port.number`, `is ${port.number}, as that of ${path}[${known}]`)];
  });
}

/** Told of, and not refused: what else the Sidecar says holds. */
function taken<L extends EgressListener | IngressListener>(
  listeners: readonly L[],
  path: string,
  isTaken: (listener: L, number: number) => boolean,
): Problem[] {
  return listeners.flatMap((listener, index): Problem[] => {
    const number = listener.port?.number;
    if (number === undefined || listener.bind?.startsWith("unix://") || !isTaken(listener, number)) return [];
    const whose =
      number === DNS_CAPTURE_PORT
        ? "at which proxies that capture DNS answer it: they"
        : "on which proxies listen themselves: they";
    return [
      warning(`${path}[${index}].port.number`, `is ${number}, ${whose} have no such listener, so choose another`),
    ];
  });
}

function checkBind(bind: string | undefined, path: string): Problem[] {
  if (bind === undefined || bind === "" || ipVersion(bind) !== null) return [];
  if (parseSocket(bind)?.startsWith("/")) return [];
  return [error(path, `must be an IP address or unix:///PATH, but is ${JSON.stringify(bind)}`)];
}

function checkProtocol(protocol: string | undefined, path: string): Problem[] {
  if (protocol === undefined || protocol === "" || declaredProtocol({ appProtocol: protocol }) !== undefined) return [];
  return [error(path, `is ${protocol}: use HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TLS, TCP, MONGO or MYSQL`)];
}
