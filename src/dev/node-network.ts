import { spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { messageOf, TrysailError } from "../platform/errors.ts";

const BRIDGE = "mesh0";
export const NODE_IP = "10.88.0.1";
const POD_NETWORK = "10.88.0.0/16";
const SERVICE_NETWORK = "10.96.0.0/12";
const FIRST_POD = 10;

/** A pod's network namespace and address. */
export interface PodNetwork {
  readonly ip: string;
  /** Where containers enter it. */
  readonly netns: string;
  remove(): Promise<void>;
}

export interface NodeNetwork {
  addPod(sysctls: readonly { name: string; value: string }[]): Promise<PodNetwork>;
}

/**
 * Makes the network namespace we are in a node: a bridge, and pods behind it whose every packet is routed by the node
 * (their addresses are single ones, with the node as only neighbour), so that its rules for cluster addresses apply.
 * Must run inside namespaces of its own.
 */
export async function createNodeNetwork(): Promise<NodeNetwork> {
  await run(
    "ip",
    ["-batch", "-"],
    [
      "link set lo up",
      `link add ${BRIDGE} type bridge`,
      `addr add ${NODE_IP}/16 dev ${BRIDGE}`,
      `link set ${BRIDGE} up`,
      // Cluster addresses are rewritten before anything is sent; the route only gives the node's own packets a way out.
      `route add ${SERVICE_NETWORK} dev ${BRIDGE}`,
    ],
  );
  for (const device of ["all", "default", BRIDGE]) {
    setting(`net/ipv4/conf/${device}/rp_filter`, "0");
    setting(`net/ipv4/conf/${device}/send_redirects`, "0");
  }
  setting("net/ipv4/ip_forward", "1");
  // Where bridged packets pass the rules too, one that is rewritten to its own sender is never routed, but lost.
  for (const name of ["bridge-nf-call-iptables", "bridge-nf-call-ip6tables"]) {
    if (existsSync(`/proc/sys/net/bridge/${name}`)) setting(`net/bridge/${name}`, "0");
  }

  let next = FIRST_POD;
  return {
    async addPod(sysctls) {
      const number = next++;
      if (number > 0xfffe) throw new TrysailError("resource-exhausted", `no pod address is left in ${POD_NETWORK}`);
      const name = `pod${number}`;
      const ip = `10.88.${number >> 8}.${number & 255}`;
      await run("ip", ["netns", "add", name]);
      await run(
        "ip",
        ["-batch", "-"],
        [`link add veth${number} type veth peer name eth0 netns ${name}`, `link set veth${number} master ${BRIDGE} up`],
      );
      await run(
        "ip",
        ["-n", name, "-batch", "-"],
        [
          "link set lo up",
          `addr add ${ip}/32 dev eth0`,
          "link set eth0 up",
          `route add default via ${NODE_IP} dev eth0 onlink`,
        ],
      );
      const wanted = [{ name: "net.ipv4.ip_unprivileged_port_start", value: "0" }, ...sysctls];
      const lines = wanted.map(
        ({ name: key, value }) => `printf %s ${quote(value)} > ${quote(`/proc/sys/${key.replaceAll(".", "/")}`)}`,
      );
      await run("nsenter", [`--net=/run/netns/${name}`, "sh", "-ec", lines.join("\n")]);
      return {
        ip,
        netns: `/run/netns/${name}`,
        remove: async () => {
          await run("ip", ["netns", "delete", name]);
          await run("ip", ["link", "delete", `veth${number}`]).catch(() => undefined); // went with its peer
        },
      };
    },
  };
}

function setting(path: string, value: string): void {
  try {
    writeFileSync(`/proc/sys/${path}`, value);
  } catch (thrown) {
    throw new TrysailError("failed-precondition", `cannot set ${path.replaceAll("/", ".")}: ${messageOf(thrown)}`);
  }
}

/** Runs a system tool; rejects with its own words. */
export function run(command: string, args: readonly string[], input: readonly string[] = []): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["pipe", "ignore", "pipe"] });
    let errors = "";
    child.stderr.on("data", (chunk: Buffer) => {
      errors += chunk.toString("utf8");
    });
    child.once("error", (error) =>
      reject(new TrysailError("failed-precondition", `cannot run ${command}: ${error.message}`)),
    );
    child.once("close", (code) => {
      if (code === 0) return resolve();
      reject(new TrysailError("internal", `${command} ${args.join(" ")}: ${errors.trim() || `exit code ${code}`}`));
    });
    child.stdin.on("error", () => undefined); // the tool ended before it read all; its exit code tells
    child.stdin.end(input.map((line) => `${line}\n`).join(""));
  });
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
