import { append } from "../platform/append.ts";
import { checkLoadBalancer } from "./check-load-balancer.ts";
import type { ConnectionPoolSettings } from "./istio/connection-pool.ts";
import type { ClientTlsSettings, TrafficPolicy, TunnelSettings } from "./istio/traffic-policy.ts";
import { error, type Problem, warning } from "./problem.ts";

/** What Istio refuses of a DestinationRule's traffic policy, and what Envoy would: it refuses a cluster as a whole. */
export function checkTrafficPolicy(policy: TrafficPolicy, path: string): Problem[] {
  const problems = checkSettings(policy, path);
  if (Object.keys(policy).length === 0) problems.push(error(path, "says nothing: give it a setting, or remove it"));
  const ports = new Map<number, number>();
  for (const [index, settings] of (policy.portLevelSettings ?? []).entries()) {
    const at = `${path}.portLevelSettings[${index}]`;
    const known = ports.get(settings.port.number);
    if (known === undefined) ports.set(settings.port.number, index);
    else problems.push(warning(at, `has no effect: ${path}.portLevelSettings[${known}] is for the same port`));
    if (Object.keys(settings).length === 1) problems.push(error(at, "says nothing: give it a setting, or remove it"));
    append(problems, checkSettings(settings, at));
  }
  if (policy.tunnel !== undefined && policy.proxyProtocol !== undefined) {
    problems.push(error(path, "has both a tunnel and a proxyProtocol: keep one of them"));
  }
  if (policy.tunnel !== undefined) append(problems, checkTunnel(policy.tunnel, `${path}.tunnel`));
  return problems;
}

type Settings = Pick<TrafficPolicy, "connectionPool" | "loadBalancer" | "outlierDetection" | "tls">;

function checkSettings({ connectionPool, loadBalancer, outlierDetection, tls }: Settings, path: string): Problem[] {
  return [
    ...(connectionPool === undefined ? [] : checkConnectionPool(connectionPool, `${path}.connectionPool`)),
    ...(loadBalancer === undefined
      ? []
      : checkLoadBalancer(loadBalancer, outlierDetection !== undefined, `${path}.loadBalancer`)),
    ...(outlierDetection === undefined ? [] : checkOutliers(outlierDetection, `${path}.outlierDetection`)),
    ...(tls === undefined ? [] : checkTls(tls, `${path}.tls`)),
  ];
}

/** Envoy counts what went wrong on the way apart from what a server answers only where it is told to. */
function checkOutliers(outliers: NonNullable<Settings["outlierDetection"]>, path: string): Problem[] {
  const { consecutiveLocalOriginFailures = 0, splitExternalLocalOriginErrors = false } = outliers;
  if (consecutiveLocalOriginFailures === 0 || splitExternalLocalOriginErrors) return [];
  return [error(`${path}.consecutiveLocalOriginFailures`, "needs splitExternalLocalOriginErrors: true beside it")];
}

function checkConnectionPool({ tcp, http }: ConnectionPoolSettings, path: string): Problem[] {
  if (tcp === undefined && http === undefined) return [error(path, "says nothing: give it tcp or http")];
  if (http?.useClientProtocol !== true || http.h2UpgradePolicy !== "UPGRADE") return [];
  const reason = "is UPGRADE, while useClientProtocol asks for the caller's own protocol: keep one of them";
  return [error(`${path}.http.h2UpgradePolicy`, reason)];
}

function checkTls(tls: ClientTlsSettings, path: string): Problem[] {
  const { mode = "DISABLE", clientCertificate = "", privateKey = "", credentialName = "" } = tls;
  const problems: Problem[] = [];
  for (const [field, value] of Object.entries(tls)) {
    const texts = Array.isArray(value) ? value : [value];
    if (texts.some((text) => typeof text === "string" && /[\0\r\n]/.test(text))) {
      problems.push(error(`${path}.${field}`, "holds a line break: remove it"));
    }
  }
  const isOwn = mode === "SIMPLE" || mode === "MUTUAL";
  if (
    isOwn &&
    credentialName !== "" &&
    [clientCertificate, privateKey, tls.caCertificates ?? ""].some((text) => text !== "")
  ) {
    problems.push(error(path, "has both a credentialName and files of certificates: keep one of them"));
  }
  if (mode === "MUTUAL" && credentialName === "" && (clientCertificate === "" || privateKey === "")) {
    problems.push(error(path, "is MUTUAL, so it needs a clientCertificate and a privateKey, or a credentialName"));
  }
  for (const [index, name] of (tls.subjectAltNames ?? []).entries()) {
    if (name === "") problems.push(error(`${path}.subjectAltNames[${index}]`, "is empty text: remove it"));
  }
  if ((tls.sni ?? "").length > 255) problems.push(error(`${path}.sni`, "must be at most 255 characters long"));
  if (isOwn && tls.insecureSkipVerify === true) {
    if ((tls.caCertificates ?? "") !== "" || (tls.subjectAltNames ?? []).length > 0) {
      const reason = "is true, while caCertificates or subjectAltNames ask for verification: keep one of them";
      problems.push(error(`${path}.insecureSkipVerify`, reason));
    } else {
      const reason = "is true: whoever gets between can read and change everything, so use it for tests only";
      problems.push(warning(`${path}.insecureSkipVerify`, reason));
    }
  }
  const idle = Object.keys(tls).filter((field) => field !== "mode" && field !== "sni" && field !== "subjectAltNames");
  if ((mode === "DISABLE" || mode === "ISTIO_MUTUAL") && idle.length > 0) {
    problems.push(warning(`${path}.${idle[0]}`, `has no effect with mode ${mode}`));
  }
  return problems;
}

function checkTunnel({ targetHost }: TunnelSettings, path: string): Problem[] {
  return targetHost.includes("*") ? [error(`${path}.targetHost`, "must be a whole name, without a wildcard")] : [];
}
