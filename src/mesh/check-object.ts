import { checkAuthorizationPolicy, isPort } from "./check-authorization-policy.ts";
import { checkDestinationRule } from "./check-destination-rule.ts";
import { checkGateway } from "./check-gateway.ts";
import { checkLabels } from "./check-labels.ts";
import { checkProxyConfig } from "./check-proxy-config.ts";
import { checkRateLimit } from "./check-rate-limit.ts";
import { checkServiceEntry } from "./check-service-entry.ts";
import { checkSidecar } from "./check-sidecar.ts";
import { checkVirtualService } from "./check-virtual-service.ts";
import { checkWorkloadEntry } from "./check-workload-entry.ts";
import { checkWorkloadGroup } from "./check-workload-group.ts";
import { joinPath } from "./conform.ts";
import { findRefusals } from "./find-refusals.ts";
import type { PeerAuthentication } from "./istio/peer-authentication.ts";
import type { ProxyConfigResource } from "./istio/proxy-config.ts";
import type { KnownObject } from "./kinds.ts";
import type { Secret } from "./kubernetes/core.ts";
import { error, type Problem } from "./problem.ts";

/** What is wrong inside one object of valid shape; what Istio's own validation refuses is refused here too. */
export function checkObject(object: KnownObject): Problem[] {
  return [...checkKind(object), ...findRefusals(object)];
}

function checkKind(object: KnownObject): Problem[] {
  switch (object.kind) {
    case "AuthorizationPolicy":
      return checkAuthorizationPolicy(object);
    case "DestinationRule":
      return checkDestinationRule(object);
    case "Gateway":
      return checkGateway(object);
    case "PeerAuthentication":
      return checkPeerAuthentication(object);
    case "ProxyConfig":
      return checkProxyConfigResource(object);
    case "RateLimit":
      return checkRateLimit(object);
    case "Secret":
      return checkSecret(object);
    case "ServiceEntry":
      return checkServiceEntry(object);
    case "Sidecar":
      return checkSidecar(object);
    case "WorkloadEntry":
      return checkWorkloadEntry(object.spec, "spec");
    case "WorkloadGroup":
      return checkWorkloadGroup(object);
    case "VirtualService":
      return checkVirtualService(object);
    default:
      return [];
  }
}

/** Each has filter chains of its own at every proxy that the policy selects. */
const MAX_PORTS = 1000;

function checkPeerAuthentication({ spec }: PeerAuthentication): Problem[] {
  const problems = checkLabels(spec.selector?.matchLabels, "spec.selector.matchLabels");
  const selects = Object.keys(spec.selector?.matchLabels ?? {}).length > 0;
  const ports = Object.keys(spec.portLevelMtls ?? {});
  if (spec.portLevelMtls !== undefined && ports.length === 0) {
    problems.push(error("spec.portLevelMtls", "is empty: name a port, or remove it"));
  }
  if (ports.length > MAX_PORTS) {
    const reason = `names ${ports.length} ports, and at most ${MAX_PORTS} can be: say the mode of most in spec.mtls`;
    return [...problems, error("spec.portLevelMtls", reason)];
  }
  if (selects || ports.length === 0) {
    const strange = ports
      .filter((port) => !isPort(port))
      .map((port) => error(`spec.portLevelMtls[${JSON.stringify(port)}]`, "must be a port number from 1 to 65535"));
    return [...problems, ...strange];
  }
  return [
    ...problems,
    error(
      "spec.portLevelMtls",
      "needs a selector: ports belong to workloads, so name them in spec.selector.matchLabels",
    ),
  ];
}

/** Its environment is the mesh-wide one's `proxyMetadata` for some pods. */
function checkProxyConfigResource({ spec }: ProxyConfigResource): Problem[] {
  const { environmentVariables: proxyMetadata, image } = spec;
  const problems = checkProxyConfig({ ...(proxyMetadata && { proxyMetadata }), ...(image && { image }) });
  const named = problems.map(({ path, ...problem }) => ({
    ...problem,
    path: `spec.${path.replace(/^proxyMetadata/, "environmentVariables")}`,
  }));
  return [...checkLabels(spec.selector?.matchLabels, "spec.selector.matchLabels"), ...named];
}

function checkSecret({ data }: Secret): Problem[] {
  return Object.entries(data ?? {}).flatMap(([key, text]) =>
    isBase64(text) ? [] : [error(joinPath("data", key), "is not base64: encode it, or move it to stringData")],
  );
}

function isBase64(text: string): boolean {
  const bare = text.replaceAll(/[\r\n]/g, "");
  return bare.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(bare);
}
