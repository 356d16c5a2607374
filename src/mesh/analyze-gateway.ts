import { analyzeGatewayConflicts } from "./analyze-gateway-conflicts.ts";
import { serverCredentials } from "./credentials.ts";
import type { Gateway } from "./istio/gateway.ts";
import { type ReferenceIndex, type Report, showLabels } from "./reference-index.ts";

/** What is wrong between a Gateway and the rest of the mesh: nobody listens, others do, or nobody has the certificate. */
export function analyzeGateway(gateway: Gateway, index: ReferenceIndex, report: Report): void {
  analyzeGatewayConflicts(gateway, index, report);
  const selector = gateway.spec.selector ?? {};
  if (Object.keys(selector).length === 0) {
    if (serverCredentials(gateway).length === 0) return;
    const reason =
      "is empty, so every gateway listens, and none is given the Secrets that the servers name: select some";
    report("value-invalid", "spec.selector", reason);
    return;
  }
  const namespaces = index.namespacesOf(selector);
  if (namespaces.length === 0) {
    const reason = `selects ${showLabels(selector)}, but no workload in the mesh has these labels: correct them, or deploy the gateway`;
    report("reference-missing", "spec.selector", reason);
    return;
  }
  for (const { path, name } of serverCredentials(gateway)) {
    const lacking = namespaces.filter((namespace) => !index.hasSecret(namespace, name));
    if (lacking.length === 0) continue;
    const where = lacking.map((namespace) => `${namespace}/${name}`).join(", ");
    const reason = `names Secret ${where}, which the mesh does not have: callers of the server are refused, so create it beside the gateway's pods; in a cluster the control plane must be allowed to read it`;
    report("reference-missing", path, reason);
  }
}
