/** The volumes that injection adds. Istio's names, where it has such a volume. */
export const VOLUME = {
  envoy: "istio-envoy",
  token: "istio-token",
  rootCert: "istiod-ca-cert",
  podInfo: "istio-podinfo",
  override: "custom-bootstrap-volume",
} as const;

export const VOLUME_NAMES: readonly string[] = Object.values(VOLUME);
