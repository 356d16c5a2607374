import type { MeshService } from "../../mesh/mesh-service.ts";

/**
 * The hosts by which requests ask for a service: every name it has, the shortest only in its own namespace, and
 * addresses. A headless one's routes hold for its pods' names as well, whatever pods there are.
 */
export function serviceDomains(service: MeshService, sameNamespace: boolean): string[] {
  const { kind, hostname, addresses, autoAddresses, isHeadless } = service;
  const ips = [...addresses.filter((text) => !text.includes("/")), ...autoAddresses].map((ip) =>
    ip.includes(":") ? `[${ip}]` : ip,
  );
  if (kind === "ServiceEntry") return [...new Set([hostname, absolute(hostname), ...ips])];
  const podNames = isHeadless ? everyName("*.", service, sameNamespace) : [];
  return [...new Set([...everyName("", service, sameNamespace), ...podNames, ...ips])];
}

/** Of one pod of a headless service that has a name of its own, such as a StatefulSet's. */
export function podDomains(podName: string, service: MeshService, sameNamespace: boolean): string[] {
  return everyName(`${podName}.`, service, sameNamespace);
}

function everyName(prefix: string, { hostname, name, namespace }: MeshService, sameNamespace: boolean): string[] {
  const short = [`${name}.${namespace}.svc`, `${name}.${namespace}`, ...(sameNamespace ? [name] : [])];
  return [hostname, ...short, absolute(hostname)].map((host) => prefix + host);
}

/** With the dot at its end: resolvers then try no search domains on it. */
function absolute(hostname: string): string {
  return `${hostname}.`;
}
