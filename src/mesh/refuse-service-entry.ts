import { append } from "../platform/append.ts";
import type { ServiceEntry } from "./istio/service-entry.ts";
import { declaredProtocol, isDeclaredHttp } from "./port-protocol.ts";
import { type Problem, refusal } from "./problem.ts";
import { refuseHost, refuseHostOrAddress } from "./refuse-host.ts";
import { refuseWorkloadEntry } from "./refuse-workload-entry.ts";

/** What Istio's validation of a ServiceEntry refuses though services can be made of it. */
export function refuseServiceEntry({ spec }: ServiceEntry): Problem[] {
  const { hosts, addresses = [], ports = [], endpoints = [], resolution = "NONE" } = spec;
  const problems = hosts.flatMap((host, index) => refuseHost(host, `spec.hosts[${index}]`));
  if (resolution === "DYNAMIC_DNS" && addresses.length > 0) {
    problems.push(
      refusal("spec.addresses", "have no effect: resolution DYNAMIC_DNS goes by the host that is asked for"),
    );
  }
  const indistinct = ports.findIndex(({ protocol = "" }) => {
    const declared = declaredProtocol({ appProtocol: protocol }) ?? "tcp";
    return !isDeclaredHttp(declared) && declared !== "tls";
  });
  if (hosts.length > 1 && resolution !== "NONE" && indistinct !== -1) {
    const reason =
      "tells no host in what is sent there, and spec.hosts has several: make an entry of each, or use NONE";
    problems.push(refusal(`spec.ports[${indistinct}].protocol`, reason));
  }
  const isByDns = resolution === "DNS" || resolution === "DNS_ROUND_ROBIN";
  for (const [index, endpoint] of endpoints.entries()) {
    const path = `spec.endpoints[${index}]`;
    const { address = "" } = endpoint;
    if (isByDns) append(problems, refuseHostOrAddress(address, `${path}.address`));
    else append(problems, refuseWorkloadEntry(endpoint, path));
    if (address.startsWith("unix://") && ports.length !== 1) {
      problems.push(
        refusal(`${path}.address`, "is a socket, which Istio takes with one port in spec.ports, no more or less"),
      );
    }
  }
  return problems;
}
