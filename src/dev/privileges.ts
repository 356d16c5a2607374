import { TrysailError } from "../platform/errors.ts";
import type { Container, PodSpec } from "./pod.ts";

/** What a container runtime grants where the pod says nothing. */
const DEFAULT_CAPABILITIES = [
  "audit_write",
  "chown",
  "dac_override",
  "fowner",
  "fsetid",
  "kill",
  "mknod",
  "net_bind_service",
  "net_raw",
  "setfcap",
  "setgid",
  "setpcap",
  "setuid",
  "sys_chroot",
];

/**
 * The arguments for setpriv that make a process what the container's and pod's securityContext ask for. Throws
 * `failed-precondition` where a container must not run as root and would.
 */
export function privileges(spec: PodSpec, container: Container): string[] {
  const security = container.securityContext ?? {};
  const podSecurity = spec.securityContext ?? {};
  const user = security.runAsUser ?? podSecurity.runAsUser ?? 0;
  const group = security.runAsGroup ?? podSecurity.runAsGroup ?? 0;
  if ((security.runAsNonRoot ?? podSecurity.runAsNonRoot) === true && user === 0) {
    throw new TrysailError(
      "failed-precondition",
      `container ${container.name}: runAsNonRoot is set, but it would run as root`,
    );
  }
  const groups = [
    ...(podSecurity.supplementalGroups ?? []),
    ...(podSecurity.fsGroup === undefined ? [] : [podSecurity.fsGroup]),
  ];
  const args = [`--reuid=${user}`, `--regid=${group}`];
  args.push(groups.length === 0 ? "--clear-groups" : `--groups=${[...new Set(groups)].join(",")}`);
  if (security.privileged !== true) {
    const kept = capabilities(security.capabilities);
    args.push("--inh-caps=-all", `--bounding-set=${["-all", ...kept.map((name) => `+${name}`)].join(",")}`);
  }
  if (security.allowPrivilegeEscalation === false) args.push("--no-new-privs");
  return args;
}

function capabilities(change: { add?: string[]; drop?: string[] } | undefined): string[] {
  const plain = (names: string[] | undefined) => (names ?? []).map((name) => name.toLowerCase().replace(/^cap_/, ""));
  const drop = plain(change?.drop);
  const add = plain(change?.add);
  if (add.includes("all")) return ["all"];
  const kept = drop.includes("all") ? [] : DEFAULT_CAPABILITIES.filter((name) => !drop.includes(name));
  return [...new Set([...kept, ...add])];
}
