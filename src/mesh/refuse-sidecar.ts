import { append } from "../platform/append.ts";
import { isDnsLabel } from "./dns-label.ts";
import type { ConnectionPoolSettings } from "./istio/connection-pool.ts";
import type { Sidecar } from "./istio/sidecar.ts";
import { type Problem, refusal } from "./problem.ts";
import { refuseHost } from "./refuse-host.ts";

/** What Istio's validation of a Sidecar refuses though listeners can be made of it. */
export function refuseSidecar({ spec }: Sidecar): Problem[] {
  const { egress = [], ingress = [], inboundConnectionPool, outboundTrafficPolicy = {} } = spec;
  const problems = refusePool(inboundConnectionPool, "spec.inboundConnectionPool");
  for (const [field, listeners] of Object.entries({ egress, ingress })) {
    const first = new Map<number, number>();
    for (const [index, { port }] of listeners.entries()) {
      if (port === undefined) continue;
      const path = `spec.${field}[${index}].port`;
      const known = first.get(port.number);
      first.set(port.number, known ?? index);
      if (known !== undefined) {
        const reason = `is ${port.number}, as that of spec.${field}[${known}]: Istio takes it once, whatever bind says`;
        problems.push(refusal(`${path}.number`, reason));
      }
      if ((port.name ?? "") !== "" && !isDnsLabel(port.name ?? "")) {
        problems.push(
          refusal(`${path}.name`, `is ${JSON.stringify(port.name)}, which is no port's name, such as http`),
        );
      }
    }
  }
  for (const [index, { hosts }] of egress.entries()) {
    for (const [at, text] of hosts.entries())
      append(problems, refuseEgressHost(text, `spec.egress[${index}].hosts[${at}]`));
  }
  for (const [index, { connectionPool, defaultEndpoint = "" }] of ingress.entries()) {
    append(problems, refusePool(connectionPool, `spec.ingress[${index}].connectionPool`));
    if (defaultEndpoint.startsWith("unix://") && defaultEndpoint.endsWith("/")) {
      problems.push(refusal(`spec.ingress[${index}].defaultEndpoint`, "is the path of a folder, and no socket's"));
    }
  }
  return [...problems, ...refuseEgressProxy(outboundTrafficPolicy, "spec.outboundTrafficPolicy")];
}

function refuseEgressHost(text: string, path: string): Problem[] {
  const host = text.slice(text.indexOf("/") + 1);
  if (host !== "*" && !host.includes(".")) {
    return [
      refusal(path, `is ${text}, a short name: Istio asks for the whole one, such as NAME.NAMESPACE.svc.cluster.local`),
    ];
  }
  return refuseHost(host, path);
}

function refusePool(pool: ConnectionPoolSettings | undefined, path: string): Problem[] {
  if (pool === undefined) return [];
  if (pool.tcp === undefined && pool.http === undefined) return [refusal(path, "says nothing: give it tcp or http")];
  if (pool.http?.useClientProtocol !== true || pool.http.h2UpgradePolicy !== "UPGRADE") return [];
  const reason = "is UPGRADE, while useClientProtocol asks for the caller's own protocol: keep one of them";
  return [refusal(`${path}.http.h2UpgradePolicy`, reason)];
}

type OutboundPolicy = NonNullable<Sidecar["spec"]["outboundTrafficPolicy"]>;

function refuseEgressProxy({ mode, egressProxy }: OutboundPolicy, path: string): Problem[] {
  if (egressProxy === undefined) return [];
  const problems = refuseHost(egressProxy.host, `${path}.egressProxy.host`);
  if (egressProxy.host.startsWith("*")) {
    problems.push(refusal(`${path}.egressProxy.host`, "is a wildcard, and the way out must be one service"));
  }
  if (mode === undefined) problems.push(refusal(`${path}.mode`, "is missing: an egressProxy needs mode ALLOW_ANY"));
  return problems;
}
