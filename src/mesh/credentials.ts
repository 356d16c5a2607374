import type { DestinationRule } from "./istio/destination-rule.ts";
import type { TrafficPolicy } from "./istio/traffic-policy.ts";

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
