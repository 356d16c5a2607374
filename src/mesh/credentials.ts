import type { DestinationRule } from "./istio/destination-rule.ts";
import type { Gateway, ServerTlsSettings } from "./istio/gateway.ts";
import type { TrafficPolicy } from "./istio/traffic-policy.ts";
import { labelsMatch } from "./labels.ts";

type TlsSettings = NonNullable<TrafficPolicy["tls"]>;

/** Each TLS setting of a rule, and where it stands. */
export function tlsSettings({
  spec,
}: DestinationRule): readonly { readonly path: string; readonly tls: TlsSettings }[] {
  const policies: readonly [path: string, policy: TrafficPolicy | undefined][] = [
    ["spec.trafficPolicy", spec.trafficPolicy],
    ...(spec.subsets ?? []).map(({ trafficPolicy }, at): [string, TrafficPolicy | undefined] => [
      `spec.subsets[${at}].trafficPolicy`,
      trafficPolicy,
    ]),
  ];
  return policies.flatMap(([path, policy]) => [
    ...(policy?.tls === undefined ? [] : [{ path: `${path}.tls`, tls: policy.tls }]),
    ...(policy?.portLevelSettings ?? []).flatMap(({ tls }, at) =>
      tls === undefined ? [] : [{ path: `${path}.portLevelSettings[${at}].tls`, tls }],
    ),
  ]);
}

/** The Secrets that rules name for the TLS of a proxy's own, in order and each once. */
export function credentialNames(rules: readonly DestinationRule[]): readonly string[] {
  const names = rules.flatMap(tlsSettings).flatMap(({ tls }) => (tls.credentialName ? [tls.credentialName] : []));
  return [...new Set(names)].sort();
}

/** Whether a rule is for callers with certain labels, and not for all: only those are given its Secrets. */
export function selectsCallers({ workloadSelector }: DestinationRule["spec"]): boolean {
  return Object.keys(workloadSelector?.matchLabels ?? {}).length > 0;
}

/** Each Secret that a Gateway names for its servers, in the namespace of whichever proxies it selects, and where it stands. */
export function serverCredentials({
  spec,
}: Gateway): readonly { readonly path: string; readonly name: string; readonly isOnlyTrust: boolean }[] {
  return (spec.servers ?? []).flatMap(({ tls = {} }, at) => {
    const path = `spec.servers[${at}].tls`;
    const { credentialName = "", credentialNames = [], caCertCredentialName = "" } = tls;
    if (!endsTlsByItsOwn(tls)) return [];
    return [
      { path: `${path}.credentialName`, name: credentialName, isOnlyTrust: false },
      ...credentialNames.map((name, index) => ({
        path: `${path}.credentialNames[${index}]`,
        name,
        isOnlyTrust: false,
      })),
      { path: `${path}.caCertCredentialName`, name: caCertCredentialName, isOnlyTrust: true },
    ].filter(({ name }) => name !== "");
  });
}

/** Whether a server ends TLS, and by certificates of its own: those of another need none, and are given none. */
export function endsTlsByItsOwn({ mode = "PASSTHROUGH" }: ServerTlsSettings): boolean {
  return mode === "SIMPLE" || mode === "MUTUAL" || mode === "OPTIONAL_MUTUAL";
}

/** Whether a Gateway is for proxies with these labels. One that selects nobody in particular is for all. */
export function selectsProxy({ spec }: Gateway, labels: Readonly<Record<string, string>>): boolean {
  return labelsMatch(spec.selector, labels);
}

/** Whether such proxies are given the Secrets that it names: of one that is for all, nobody is. */
export function grantsCredentials(gateway: Gateway, labels: Readonly<Record<string, string>>): boolean {
  return Object.keys(gateway.spec.selector ?? {}).length > 0 && selectsProxy(gateway, labels);
}
