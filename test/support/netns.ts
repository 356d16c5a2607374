import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import type { TestContext } from "node:test";
import { until } from "./until.ts";

/**
 * A network of a test's own: a machine and a pod on it, each in its own network namespace and joined by a virtual
 * cable. Nothing of it can reach, or be seen from, the machine that runs the test, and all of it ends with the test.
 */
export interface TestNetwork {
  readonly machine: TestHost;
  readonly pod: TestHost;
}

export interface TestHost {
  readonly ipv4: string;
  readonly ipv6: string;
  /** Runs a command to its end; rejects, with what it said, where it fails. */
  run(command: string, args: readonly string[], options?: RunOptions): Promise<string>;
  /** Starts a command that ends with the test at the latest. */
  start(command: string, args: readonly string[], options?: RunOptions): ChildProcess;
}

export interface RunOptions {
  readonly uid?: number;
  readonly gid?: number;
  /** The whole environment; by default that of this process. */
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string;
}

const TOOLS = ["unshare", "nsenter", "setpriv", "ip", "iptables-restore", "ip6tables-restore", "curl"];

/** False where networks can be made here, else why not: what `skip` of node:test takes. */
export function netnsMissing(): string | false {
  if (process.getuid?.() !== 0) return "needs root, to make network namespaces";
  const missing = TOOLS.filter((tool) => spawnSync(tool, ["--version"]).error !== undefined);
  if (missing.length > 0) return `needs ${missing.join(", ")}: install util-linux, iproute2, iptables and curl`;
  const tried = spawnSync("unshare", ["--net", "--mount", "--pid", "--fork", "--kill-child", "true"]);
  return tried.status === 0 ? false : `unshare failed: ${tried.stderr.toString().trim()}`;
}

export async function createTestNetwork(t: TestContext): Promise<TestNetwork> {
  const holder = await holdNamespaces(t);
  const machine = hostIn(t, holder, [], { ipv4: "10.99.0.1", ipv6: "fd99::1" });
  const pod = hostIn(t, holder, ["ip", "netns", "exec", "pod"], { ipv4: "10.99.0.2", ipv6: "fd99::2" });
  const ip = (host: TestHost, command: string) => host.run("ip", command.split(" "));

  await ip(machine, "netns add pod");
  await ip(machine, "link add cable type veth peer name eth0 netns pod");
  for (const [host, device] of [
    [machine, "cable"],
    [pod, "eth0"],
  ] as const) {
    await ip(host, "link set lo up");
    await ip(host, `addr add ${host.ipv4}/24 dev ${device}`);
    // No waiting for other holders of the address: there are none.
    await ip(host, `addr add ${host.ipv6}/64 dev ${device} nodad`);
    await ip(host, `link set ${device} up`);
  }
  await ip(pod, `route add default via ${machine.ipv4}`);
  await ip(pod, `-6 route add default via ${machine.ipv6}`);
  return { machine, pod };
}

/** The namespaces live as long as this process, and everything started in them. */
async function holdNamespaces(t: TestContext): Promise<number> {
  const flags = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
  // Named network namespaces are files in /run/netns, so that folder must be ours alone.
  const script = "mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns && echo ready && exec sleep infinity";
  const child = spawn("unshare", [...flags, "sh", "-c", script], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  t.after(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  await new Promise<void>((resolve, reject) => {
    child.stdout.once("data", () => resolve());
    child.once("exit", (code) => reject(new Error(`unshare ended with ${code}`)));
  });
  return until("the process that holds the namespaces", () => {
    return Number(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim().split(" ")[0]);
  });
}

function hostIn(
  t: TestContext,
  holder: number,
  prefix: readonly string[],
  addresses: { ipv4: string; ipv6: string },
): TestHost {
  const enter = ["-t", String(holder), "--net", "--mount", "--pid"];
  const argv = (command: string, args: readonly string[], { uid = 0, gid = uid, env }: RunOptions) => {
    const user = uid === 0 && gid === 0 ? [] : ["setpriv", `--reuid=${uid}`, `--regid=${gid}`, "--clear-groups"];
    // Set behind the tools that enter, which need the PATH of this process.
    const variables = Object.entries(env ?? {}).map(([name, value]) => `${name}=${value}`);
    const environment = env === undefined ? [] : ["env", "-i", ...variables];
    return [...enter, ...prefix, ...user, ...environment, command, ...args];
  };
  return {
    ...addresses,
    run: (command, args, options = {}) =>
      new Promise((resolve, reject) => {
        const child = execFile(
          "nsenter",
          argv(command, args, options),
          { timeout: 60_000 },
          (error, stdout, stderr) => {
            if (error === null) resolve(stdout);
            else reject(new Error(`${command} ${args.join(" ")}: ${stderr || error.message}`));
          },
        );
        child.stdin?.on("error", () => {});
        child.stdin?.end(options.input ?? "");
      }),
    start: (command, args, options = {}) => {
      const child = spawn("nsenter", argv(command, args, options), { stdio: ["ignore", "pipe", "pipe"] });
      const ended = new Promise((resolve) => child.once("exit", resolve));
      // nsenter itself only waits; what it started dies with the namespaces at the latest.
      t.after(async () => {
        child.kill("SIGKILL");
        await ended;
      });
      return child;
    },
  };
}
