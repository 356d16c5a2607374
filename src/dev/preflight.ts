import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { TrysailError } from "../platform/errors.ts";

/** Tools that the runner calls, and the Debian package each is in. */
const TOOLS = {
  unshare: "util-linux",
  nsenter: "util-linux",
  setpriv: "util-linux",
  mount: "mount",
  ip: "iproute2",
  "iptables-restore": "iptables",
} as const;

/** How to enter namespaces of our own on this machine. */
export interface Isolation {
  readonly unshareArgs: readonly string[];
  readonly ordinaryUser: boolean;
}

const NAMESPACES = ["--net", "--mount", "--pid", "--fork", "--kill-child"];
const USER_NAMESPACE = ["--user", "--map-root-user", "--map-auto"];

/** Throws `failed-precondition`, one line: what is missing, why it is needed, what to do. */
export function assertCanIsolate(path: string): Isolation {
  for (const [tool, debianPackage] of Object.entries(TOOLS)) {
    if (!isOnPath(tool, path)) {
      throw refuse(
        `${tool} is missing, which pods need for their network and files: run apt-get install ${debianPackage}`,
      );
    }
  }
  const ordinaryUser = process.getuid?.() !== 0;
  if (ordinaryUser && !isOnPath("newuidmap", path)) {
    throw refuse(
      "pods need namespaces: run as root, or run apt-get install uidmap so that an ordinary user can make them",
    );
  }
  const unshareArgs = [...(ordinaryUser ? USER_NAMESPACE : []), ...NAMESPACES];
  const trial = spawnSync("unshare", [...unshareArgs, "mount", "-t", "tmpfs", "tmpfs", "/run"], {
    encoding: "utf8",
    env: { ...process.env, PATH: path },
  });
  if (trial.status === 0) return { unshareArgs, ordinaryUser };
  const reason = trial.stderr.trim().split("\n").at(-1) ?? "";
  const advice = ordinaryUser
    ? "run as root, or allow user namespaces (/etc/subuid and /etc/subgid need a range for this user)"
    : "run where root may make namespaces and mounts (a container needs CAP_SYS_ADMIN and CAP_NET_ADMIN)";
  throw refuse(`pods need namespaces, which cannot be made here (${reason}): ${advice}`);
}

/** Throws `failed-precondition` naming what to set. */
export function assertEnvoy(envoy: string): void {
  try {
    accessSync(envoy, constants.X_OK);
  } catch {
    throw refuse(`no Envoy at ${envoy}, which every sidecar is: run make setup, or set ENVOY=/path/to/envoy`);
  }
}

function isOnPath(tool: string, path: string): boolean {
  return path.split(delimiter).some((folder) => existsSync(join(folder, tool)));
}

function refuse(message: string): TrysailError {
  return new TrysailError("failed-precondition", message);
}
