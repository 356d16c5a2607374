import type { ServiceView } from "./service-view.ts";
import { shortHash } from "./short-hash.ts";

/**
 * The node's whole rule set as input of iptables-restore, which applies it at once: cluster address and port → a ready
 * endpoint by chance, each equally likely; a Service with none refuses at once instead of hanging.
 */
export function buildForwardingRules(views: readonly ServiceView[]): string {
  const chains: string[] = [];
  const rules: string[] = [];
  const refusals: string[] = [];
  const hairpins = new Set<string>();
  for (const view of views) {
    if (view.clusterIp === undefined) continue;
    for (const port of view.ports) {
      const protocol = port.protocol.toLowerCase();
      const match = `-d ${view.clusterIp}/32 -p ${protocol} -m ${protocol} --dport ${port.port}`;
      if (port.endpoints.length === 0) {
        refusals.push(`-A MESH-REFUSED ${match} -j REJECT`);
        continue;
      }
      const { namespace, name } = view.service.metadata;
      const chain = `MESH-${shortHash(`${namespace}/${name}:${port.port}/${protocol}`, 10).toUpperCase()}`;
      chains.push(chain);
      rules.push(`-A MESH-SERVICES ${match} -j ${chain}`);
      port.endpoints.forEach((endpoint, index) => {
        const left = port.endpoints.length - index;
        const chance = left === 1 ? "" : ` -m statistic --mode random --probability ${(1 / left).toFixed(10)}`;
        rules.push(`-A ${chain} -p ${protocol}${chance} -j DNAT --to-destination ${endpoint.ip}:${endpoint.port}`);
        hairpins.add(endpoint.ip);
      });
    }
  }
  return [
    "*nat",
    ":PREROUTING ACCEPT [0:0]",
    ":OUTPUT ACCEPT [0:0]",
    ":POSTROUTING ACCEPT [0:0]",
    ...["MESH-SERVICES", ...chains].map((chain) => `:${chain} - [0:0]`),
    "-A PREROUTING -j MESH-SERVICES",
    "-A OUTPUT -j MESH-SERVICES",
    ...rules,
    // A pod that reaches itself through a Service must see another sender, or its kernel drops its own answer.
    ...[...hairpins].sort().map((ip) => `-A POSTROUTING -s ${ip}/32 -d ${ip}/32 -j MASQUERADE`),
    "COMMIT",
    "*filter",
    ":FORWARD ACCEPT [0:0]",
    ":OUTPUT ACCEPT [0:0]",
    ":MESH-REFUSED - [0:0]",
    "-A FORWARD -j MESH-REFUSED",
    "-A OUTPUT -j MESH-REFUSED",
    ...refusals,
    "COMMIT",
    "",
  ].join("\n");
}
