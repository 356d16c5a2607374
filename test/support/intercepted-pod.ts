import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { encode, RECURSION_DESIRED, type RecordType } from "dns-packet";
import { createTestNetwork, type RunOptions, type TestHost, type TestNetwork } from "./netns.ts";

export interface InitOptions {
  readonly uid?: number;
  readonly path?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** `trysail init` with `flags` as the init container of `pod` runs it, for both address families. What it prints. */
export async function runInit(
  t: TestContext,
  pod: TestHost,
  flags: readonly string[],
  options: InitOptions = {},
): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "trysail-init-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const name of ["labels", "annotations"]) writeFileSync(join(folder, name), "");
  const env = {
    PATH: options.path ?? process.env.PATH,
    POD_NAME: "web-0",
    POD_NAMESPACE: "shop",
    SERVICE_ACCOUNT: "web",
    INSTANCE_IP: pod.ipv4,
    INSTANCE_IPS: `${pod.ipv4},${pod.ipv6}`,
    PROXY_CONFIG: JSON.stringify({ discoveryAddress: "trysail.trysail-system.svc:15012" }),
    ...options.env,
  };
  const program = `
    import { initCommand } from ${JSON.stringify(import.meta.resolve("../../src/cli/init.ts"))};
    await initCommand().parseAsync(process.argv.slice(1), { from: "user" });`;
  const ofPod = ["--pod-info", folder, "--bootstrap", join(folder, "envoy.json")];
  const args = ["--input-type=module", "-e", program, "--", ...ofPod, ...flags];
  return pod.run(process.execPath, args, { env, ...(options.uid === undefined ? {} : { uid: options.uid }) });
}

const PORTS = [8080, 9090, 15001, 15006, 15021, 15090];

/** A network in which both hosts answer every connection with who was reached on which port. */
export async function listeningNetwork(t: TestContext, ports: readonly number[] = PORTS): Promise<TestNetwork> {
  const network = await createTestNetwork(t);
  for (const name of ["machine", "pod"] as const) await answerWithName(network[name], name, ports);
  return network;
}

/** Answers each connection with `NAME PORT from ADDRESS` and each datagram with `NAME PORT`. */
export async function answerWithName(
  host: TestHost,
  name: string,
  ports: readonly number[],
  udpPorts: readonly number[] = [],
): Promise<void> {
  const server = `
    const net = require("node:net");
    const dgram = require("node:dgram");
    const tcp = ${JSON.stringify(ports)}.map((port) => new Promise((resolve) => {
      net.createServer((socket) => {
        socket.on("error", () => {}).resume().end("${name} " + port + " from " + socket.remoteAddress.replace("::ffff:", ""));
      }).listen(port, "::", resolve);
    }));
    const udp = ${JSON.stringify(udpPorts)}.map((port) => new Promise((resolve) => {
      const socket = dgram.createSocket({ type: "udp6" });
      socket.on("message", (_, from) => socket.send("${name} " + port, from.port, from.address));
      socket.bind(port, "::", resolve);
    }));
    Promise.all([...tcp, ...udp]).then(() => console.log("listening"));`;
  const { stdout } = host.start(process.execPath, ["-e", server]);
  assert.match(String(await once(stdout ?? assert.fail(), "data")), /listening/);
}

export type AskOptions = RunOptions & { readonly source?: string; readonly sourcePort?: number };

/** Who answers a connection from `host`: `NAME PORT`. */
export async function ask(host: TestHost, to: string, port: number, options: AskOptions = {}): Promise<string> {
  return (await askWhole(host, to, port, options)).replace(/ from .*/, "");
}

/** Who answers, and from whom it thinks the connection came. */
export function askWhole(host: TestHost, to: string, port: number, options: AskOptions = {}): Promise<string> {
  const target = { host: to, port, ...(options.source === undefined ? {} : { localAddress: options.source }) };
  // A proxy that tells protocols apart waits for a few of the caller's words.
  const client = `
    const socket = require("node:net").connect(${JSON.stringify(target)});
    socket.write("Who is there?\\n");
    socket.pipe(process.stdout);`;
  return host.run(process.execPath, ["-e", client], options);
}

/** Who answers a DNS query of a type, A unless said, from `host`: `NAME PORT`. */
export function askUdp(
  host: TestHost,
  to: string,
  port: number,
  { type = "A", ...options }: AskOptions & { readonly type?: RecordType } = {},
): Promise<string> {
  const questions = [{ type, name: "one.example.com" }];
  const query = encode({ type: "query", id: 1, flags: RECURSION_DESIRED, questions }).toString("hex");
  const client = `
    const query = Buffer.from(${JSON.stringify(query)}, "hex");
    const socket = require("node:dgram").createSocket(${JSON.stringify(to.includes(":") ? "udp6" : "udp4")});
    socket.bind(${options.sourcePort ?? 0}, () => socket.send(query, ${port}, ${JSON.stringify(to)}));
    socket.once("message", (answer) => { process.stdout.write(answer); socket.close(); });
    setTimeout(() => { process.stdout.write("no answer"); socket.close(); }, 3000).unref();`;
  return host.run(process.execPath, ["-e", client], options);
}
