const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const LONGEST_SUBDOMAIN = 253;

/** What Kubernetes accepts as a namespace: an RFC 1123 label. */
export function isDnsLabel(text: string): boolean {
  return LABEL.test(text);
}

/** What Kubernetes accepts as the name of a service account or a pod: RFC 1123 labels with dots between. */
export function isDnsSubdomain(text: string): boolean {
  return text.length <= LONGEST_SUBDOMAIN && text.split(".").every(isDnsLabel);
}
