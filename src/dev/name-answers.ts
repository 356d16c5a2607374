import type { Answer, Question } from "dns-packet";
import { isExternalName } from "./cluster-objects.ts";
import type { ServiceView } from "./service-view.ts";

/** Cluster names, as a cluster's DNS would answer for them. */
export interface NameTable {
  /** Undefined where the name does not exist (NXDOMAIN); empty where it has no record of that type. */
  answer(question: Pick<Question, "name" | "type">): readonly Answer[] | undefined;
}

/** Short, so that a changed Service is seen soon. */
const TTL_SECONDS = 5;

/**
 * `SVC.NS.svc.DOMAIN` → its cluster address, its ready endpoints (headless) or its external name; `HOST.SVC.NS.svc.DOMAIN`
 * → that pod of a headless Service; `_PORT._PROTO.SVC.NS.svc.DOMAIN` → SRV.
 */
export function buildNameTable(views: readonly ServiceView[], domain: string): NameTable {
  const addresses = new Map<string, string[]>();
  const aliases = new Map<string, string>();
  const locations = new Map<string, { target: string; port: number }[]>();
  const add = (name: string, ip: string) => {
    const known = addresses.get(name);
    if (known === undefined) addresses.set(name, [ip]);
    else if (!known.includes(ip)) known.push(ip);
  };
  for (const view of views) {
    const host = `${view.service.metadata.name}.${view.service.metadata.namespace}.svc.${domain}`.toLowerCase();
    if (isExternalName(view.service)) {
      aliases.set(host, view.service.spec.externalName ?? "");
      continue;
    }
    addresses.set(host, view.clusterIp === undefined ? [] : [view.clusterIp]);
    if (view.clusterIp === undefined) {
      for (const { ip, hostname } of view.addresses) {
        add(host, ip);
        add(`${hostname ?? ip.replaceAll(".", "-")}.${host}`.toLowerCase(), ip);
      }
    }
    for (const port of view.ports) {
      if (port.name === "") continue;
      const name = `_${port.name}._${port.protocol}.${host}`.toLowerCase();
      const targets =
        view.clusterIp !== undefined
          ? [{ target: host, port: port.port }]
          : port.endpoints.map((endpoint) => ({ target: hostFor(view, endpoint.ip, host), port: endpoint.port }));
      locations.set(name, targets);
    }
  }
  return {
    answer({ name, type }) {
      const wanted = name.toLowerCase().replace(/\.$/, "");
      const alias = aliases.get(wanted);
      if (alias !== undefined) return [{ name, type: "CNAME", class: "IN", ttl: TTL_SECONDS, data: alias }];
      const location = locations.get(wanted);
      if (location !== undefined) {
        if (type !== "SRV") return [];
        return location.map((data) => ({ name, type: "SRV", class: "IN", ttl: TTL_SECONDS, data }));
      }
      const ips = addresses.get(wanted);
      if (ips === undefined) return undefined;
      return type === "A" ? ips.map((data) => ({ name, type: "A", class: "IN", ttl: TTL_SECONDS, data })) : [];
    },
  };
}

function hostFor(view: ServiceView, ip: string, host: string): string {
  const hostname = view.addresses.find((address) => address.ip === ip)?.hostname;
  return `${hostname ?? ip.replaceAll(".", "-")}.${host}`.toLowerCase();
}
