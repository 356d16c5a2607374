import { ipVersion } from "../platform/ip-version.ts";
import { endsTlsByItsOwn } from "./credentials.ts";
import { parseServerHost, serverKind } from "./gateway-server.ts";
import type { Gateway, GatewayServer, ServerTlsSettings, TlsVersion } from "./istio/gateway.ts";
import { declaredProtocol } from "./port-protocol.ts";
import { error, type Problem, warning } from "./problem.ts";

/** What Istio refuses in a Gateway, and what Envoy would refuse of what is made of it. */
export function checkGateway({ spec: { servers = [] } }: Gateway): Problem[] {
  if (servers.length === 0) return [error("spec.servers", "is empty: say on which ports, and for which hosts")];
  return [
    ...servers.flatMap((server, index) => checkServer(server, `spec.servers[${index}]`)),
    ...repeatedNames(servers),
  ];
}

function checkServer(server: GatewayServer, path: string): Problem[] {
  const { port, bind = "", hosts, tls } = server;
  const problems: Problem[] = hosts.flatMap((text, index) => checkHost(text, `${path}.hosts[${index}]`));
  if (bind !== "" && ipVersion(bind) === null) {
    problems.push(error(`${path}.bind`, `must be an IP address, but is ${JSON.stringify(bind)}`));
  }
  if (declaredProtocol({ appProtocol: port.protocol }) === undefined) {
    const reason = `is ${JSON.stringify(port.protocol)}: use HTTP, HTTPS, GRPC, GRPC-WEB, HTTP2, MONGO, TCP or TLS`;
    return [...problems, error(`${path}.port.protocol`, reason)];
  }
  return [...problems, ...checkTls(server, tls, `${path}.tls`)];
}

function checkHost(text: string, path: string): Problem[] {
  const host = parseServerHost(text, "");
  if (host === null) {
    const reason = `must be HOST or NAMESPACE/HOST, with . or * for the namespace and perhaps a wildcard for the host, but is ${JSON.stringify(text)}`;
    return [error(path, reason)];
  }
  if (host.host === "*" || host.host.includes(".") || host.host === "localhost") return [];
  return [error(path, `is ${text}, a short name: callers outside of the mesh need the whole name`)];
}

function checkTls(server: GatewayServer, tls: ServerTlsSettings | undefined, path: string): Problem[] {
  const kind = serverKind(server);
  const { protocol } = server.port;
  if (kind === "http" || kind === "tcp") {
    const { httpsRedirect: _, ...settings } = tls ?? {};
    if (Object.keys(settings).length === 0) return [];
    const reason = `is for protocols HTTPS and TLS, but the port's is ${protocol}: change one of them`;
    // Of requests in plain text Istio leaves aside what asks for no certificate.
    const { mode = "PASSTHROUGH", serverCertificate = "", privateKey = "", caCertificates = "" } = settings;
    const isIdle = kind === "http" && (mode === "PASSTHROUGH" || mode === "AUTO_PASSTHROUGH");
    return isIdle && serverCertificate + privateKey + caCertificates === ""
      ? [warning(path, `has no effect: it ${reason}`)]
      : [error(path, reason)];
  }
  if (tls === undefined) return [error(path, `is missing: protocol ${protocol} needs to know whose TLS it is`)];
  const problems: Problem[] = checkOwnCertificate(tls, path);
  if (tls.httpsRedirect === true) {
    problems.push(warning(`${path}.httpsRedirect`, `has no effect with protocol ${protocol}: it is for HTTP`));
  }
  const [min, max] = [versionOf(tls.minProtocolVersion), versionOf(tls.maxProtocolVersion)];
  if (min !== null && max !== null && min > max) {
    problems.push(error(`${path}.minProtocolVersion`, "is later than maxProtocolVersion: no caller could connect"));
  }
  for (const [index, suite] of (tls.cipherSuites ?? []).entries()) {
    if (CIPHER_SUITES.has(suite)) continue;
    const reason = `is ${JSON.stringify(suite)}, which Envoy does not know: it is left out`;
    problems.push(warning(`${path}.cipherSuites[${index}]`, reason));
  }
  for (const field of ["verifyCertificateHash", "verifyCertificateSpki"] as const) {
    for (const [index, hash] of (tls[field] ?? []).entries()) {
      if (!HASH[field].test(hash)) problems.push(error(`${path}.${field}[${index}]`, `is not ${HASH_FORM[field]}`));
    }
  }
  return problems;
}

const HASH = {
  verifyCertificateHash: /^([0-9A-Fa-f]{64}|([0-9A-Fa-f]{2}:){31}[0-9A-Fa-f]{2})$/,
  verifyCertificateSpki: /^[A-Za-z0-9+/]{43}=$/,
};
const HASH_FORM = {
  verifyCertificateHash: "a SHA-256 of 64 hexadecimal digits",
  verifyCertificateSpki: "the base64 of a SHA-256",
};

/** With which certificate the server answers, and whom it asks for one. */
function checkOwnCertificate(tls: ServerTlsSettings, path: string): Problem[] {
  const { mode = "PASSTHROUGH", credentialName = "", credentialNames = [], caCertCredentialName = "" } = tls;
  const { serverCertificate = "", privateKey = "", caCertificates = "" } = tls;
  const files = [serverCertificate, privateKey, caCertificates].some((text) => text !== "");
  const secrets = [credentialName, ...credentialNames].filter((name) => name !== "");
  const wayOut = "remove them, or use SIMPLE or MUTUAL";
  if (!endsTlsByItsOwn(tls)) {
    if (!files && secrets.length + caCertCredentialName.length === 0) return [];
    return mode === "ISTIO_MUTUAL"
      ? [error(path, `has certificates, but mode ${mode} uses the mesh's own certificates: ${wayOut}`)]
      : [warning(path, `has certificates, which are not used, since mode ${mode} does not end the TLS: ${wayOut}`)];
  }
  if (credentialName !== "" && credentialNames.length > 0) {
    return [error(path, "has both credentialName and credentialNames: keep one of them")];
  }
  if (secrets.length > 0) {
    if (!files) return [];
    const reason = "has both a credentialName and files of certificates";
    return serverCertificate !== "" && privateKey !== ""
      ? [error(path, `${reason}: keep one of them`)]
      : [warning(path, `${reason}, which are not used: remove them`)];
  }
  if (serverCertificate === "" || privateKey === "") {
    return [error(path, `is ${mode}, so it needs a credentialName, or a serverCertificate and a privateKey`)];
  }
  const asks = mode === "MUTUAL" || mode === "OPTIONAL_MUTUAL";
  return asks && caCertificates === "" && caCertCredentialName === ""
    ? [error(path, `is ${mode}, so it needs caCertificates: by them it tells whose certificate to take`)]
    : [];
}

function repeatedNames(servers: readonly GatewayServer[]): Problem[] {
  const first = new Map<string, number>();
  return servers.flatMap(({ port: { name = "" } }, index): Problem[] => {
    const known = first.get(name);
    if (name === "") return [];
    first.set(name, known ?? index);
    return known === undefined
      ? []
      : [error(`spec.servers[${index}].port.name`, `is ${name}, as that of spec.servers[${known}]: name them apart`)];
  });
}

function versionOf(version: TlsVersion = "TLS_AUTO"): number | null {
  const [, minor] = /^TLSV1_([0-3])$/.exec(version) ?? [];
  return minor === undefined ? null : Number(minor);
}

/** What BoringSSL takes for TLS before 1.3, whose own suites cannot be chosen. */
export const CIPHER_SUITES: ReadonlySet<string> = new Set([
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
  "ECDHE-ECDSA-AES128-SHA",
  "ECDHE-RSA-AES128-SHA",
  "ECDHE-ECDSA-AES256-SHA",
  "ECDHE-RSA-AES256-SHA",
  "AES128-GCM-SHA256",
  "AES256-GCM-SHA384",
  "AES128-SHA",
  "AES256-SHA",
]);
