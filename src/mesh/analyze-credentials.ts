import { tlsSettings } from "./credentials.ts";
import type { DestinationRule } from "./istio/destination-rule.ts";
import type { ReferenceIndex, Report } from "./reference-index.ts";

/** Secrets that a rule names and the mesh does not have: the calls that need them fail. */
export function analyzeCredentials(rule: DestinationRule, index: ReferenceIndex, report: Report): void {
  const { namespace } = rule.metadata;
  for (const { path, tls } of tlsSettings(rule)) {
    const { mode, credentialName = "" } = tls;
    if (credentialName === "" || (mode !== "SIMPLE" && mode !== "MUTUAL")) continue;
    // Without a certificate of the caller's own, the Secret with whom to trust is enough.
    const names = [credentialName, ...(mode === "SIMPLE" ? [`${credentialName}-cacert`] : [])];
    if (names.some((name) => index.hasSecret(namespace, name))) continue;
    const reason = `names Secret ${namespace}/${credentialName}, which the mesh does not have: calls fail that need it, so create it; in a cluster the control plane must be allowed to read it`;
    report("reference-missing", `${path}.credentialName`, reason);
  }
}
