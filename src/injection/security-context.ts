import type { ProxyIds } from "./identity-range.ts";

/** All that Pod Security's strictest level asks of a container. https://kubernetes.io/docs/concepts/security/pod-security-standards/ */
export function restricted({ user, group }: ProxyIds) {
  return {
    allowPrivilegeEscalation: false,
    capabilities: { drop: ["ALL"] },
    privileged: false,
    readOnlyRootFilesystem: true,
    runAsGroup: group,
    runAsNonRoot: true,
    runAsUser: user,
    seccompProfile: { type: "RuntimeDefault" },
  };
}

/** What redirecting traffic takes, and no more. */
export const redirecting = {
  allowPrivilegeEscalation: false,
  capabilities: { add: ["NET_ADMIN", "NET_RAW"], drop: ["ALL"] },
  privileged: false,
  // The older kind of iptables keeps its lock in /run.
  readOnlyRootFilesystem: false,
  runAsGroup: 0,
  runAsNonRoot: false,
  runAsUser: 0,
  seccompProfile: { type: "RuntimeDefault" },
};
