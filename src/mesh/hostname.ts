/**
 * A host in an Istio object as a full name in lower case: one without a dot is a service of the object's own namespace,
 * everything else is whole already (https://istio.io/latest/docs/reference/config/networking/virtual-service/#Destination).
 */
export function resolveHost(host: string, namespace: string, domain: string): string {
  const name = host.toLowerCase();
  return name.includes(".") || name === "*" ? name : `${name}.${namespace}.svc.${domain}`;
}

/** Whether `pattern` (`*`, `*.example.com` or a whole name) covers `hostname`. */
export function hostMatches(pattern: string, hostname: string): boolean {
  if (pattern === "*") return true;
  return pattern.startsWith("*") ? hostname.endsWith(pattern.slice(1)) : pattern === hostname;
}

/** The wildcards that cover a host, itself where it is one, the narrowest first. */
export function patternsOver(hostname: string): string[] {
  const labels = hostname.split(".");
  return labels.map((_label, from) => ["*", ...labels.slice(from + 1)].join("."));
}

/** Of two patterns of which one covers the other, the narrower; null where neither does. */
export function narrowerHost(a: string, b: string): string | null {
  if (hostMatches(a, b)) return b;
  return hostMatches(b, a) ? a : null;
}

/** Orders patterns from the most specific: whole names, then longer wildcards, then `*`. */
export function compareSpecificity(a: string, b: string): number {
  const wild = Number(a.startsWith("*")) - Number(b.startsWith("*"));
  return wild !== 0 ? wild : b.length - a.length;
}
