import type { DestinationRule } from "./istio/destination-rule.ts";
import type { TrafficPolicy } from "./istio/traffic-policy.ts";
import type { ReferenceIndex, Report } from "./reference-index.ts";

/** Secrets that a rule names and the mesh does not have: the calls that need them fail. */
export function analyzeCredentials({ metadata, spec }: DestinationRule, index: ReferenceIndex, report: Report): void {
  const policies: readonly [path: string, policy: TrafficPolicy | undefined][] = [
    ["spec.trafficPolicy", spec.trafficPolicy],
    ...(spec.subsets ?? []).map(({ trafficPolicy }, at): [string, TrafficPolicy | undefined] => [
      `spec.subsets[${at}].trafficPolicy`,
      trafficPolicy,
    ]),
  ];
  for (const [path, policy] of policies) {
    analyzeTls(`${path}.tls`, policy?.tls);
    for (const [at, { tls }] of (policy?.portLevelSettings ?? []).entries())
      analyzeTls(`${path}.portLevelSettings[${at}].tls`, tls);
  }

  function analyzeTls(path: string, tls: TrafficPolicy["tls"]): void {
    const { mode, credentialName = "" } = tls ?? {};
    if (credentialName === "" || (mode !== "SIMPLE" && mode !== "MUTUAL")) return;
    // Without a certificate of the caller's own, the Secret with whom to trust is enough.
    const names = [credentialName, ...(mode === "SIMPLE" ? [`${credentialName}-cacert`] : [])];
    if (names.some((name) => index.hasSecret(metadata.namespace, name))) return;
    const reason = `names Secret ${metadata.namespace}/${credentialName}, which the mesh does not have: calls fail that need it. Secrets are read from folders only, not yet from a cluster; there, name files by clientCertificate, privateKey and caCertificates`;
    report("reference-missing", `${path}.credentialName`, reason);
  }
}
