import { append } from "../platform/append.ts";
import { isDnsLabel } from "./dns-label.ts";
import type { Gateway } from "./istio/gateway.ts";
import { type Problem, refusal } from "./problem.ts";
import { refuseHostOrAddress } from "./refuse-host.ts";

/** What Istio's validation of a Gateway refuses though listeners can be made of it. */
export function refuseGateway({ metadata, spec: { servers = [] } }: Gateway): Problem[] {
  const problems: Problem[] = [];
  if (!isDnsLabel(metadata.name)) {
    problems.push(
      refusal("metadata.name", "must be of letters, digits and - alone: VirtualServices could not name it"),
    );
  }
  for (const [index, { port, hosts, tls }] of servers.entries()) {
    const path = `spec.servers[${index}]`;
    if ((port.name ?? "") === "") problems.push(refusal(`${path}.port.name`, "is missing: Istio asks for it"));
    for (const [at, text] of hosts.entries()) {
      append(problems, refuseHostOrAddress(text.slice(text.indexOf("/") + 1), `${path}.hosts[${at}]`));
    }
    if (tls?.mode === "SIMPLE" && (tls.credentialName ?? "") === "" && (tls.caCrl ?? "") !== "") {
      problems.push(
        refusal(`${path}.tls.caCrl`, "has no effect with mode SIMPLE, which asks callers for no certificate"),
      );
    }
  }
  return problems;
}
