import { PROXY_ID } from "./pod-contract.ts";

/** The user and group that Envoy runs as. */
export interface ProxyIds {
  readonly user: number;
  readonly group: number;
}

/**
 * 1337, but OpenShift lets a namespace's pods run only as the users of its own range: there it is the second one, since
 * the first is what the apps get. https://docs.openshift.com/container-platform/latest/authentication/managing-security-context-constraints.html
 */
export function proxyIds(
  platform: "kubernetes" | "openshift",
  namespaceAnnotations: Readonly<Record<string, string>>,
): ProxyIds {
  const fixed = { user: PROXY_ID, group: PROXY_ID };
  if (platform === "kubernetes") return fixed;
  const user = second(namespaceAnnotations["openshift.io/sa.scc.uid-range"]);
  if (user === undefined) return fixed;
  return { user, group: second(namespaceAnnotations["openshift.io/sa.scc.supplemental-groups"]) ?? user };
}

/** Of `FIRST/COUNT` or `FIRST-LAST`, or the first of several such, separated by commas. */
function second(range: string | undefined): number | undefined {
  const first = /^([0-9]{1,10})[/-][0-9]+(?:,|$)/.exec(range ?? "")?.[1];
  return first === undefined ? undefined : Number(first) + 1;
}
