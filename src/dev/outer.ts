import { type ChildProcess, spawn } from "node:child_process";
import { createServer, type Server } from "node:net";
import { messageOf, TrysailError } from "../platform/errors.ts";
import { HOST_PORT_ANNOTATION } from "./exposures.ts";
import type { DevOptions, ToInner, ToOuter } from "./options.ts";
import type { Isolation } from "./preflight.ts";
import { recordRun, type StatePaths } from "./state-folder.ts";

/**
 * Runs first in the new namespaces: its own /proc, and a /run on which nothing of the host's is seen or changed. It stays as
 * the first process, which takes in orphans and ends with the inner process.
 */
const ENTER = `
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/netns /run/trysail/pods
"$@"; exit $?
`;

/**
 * Starts the inner process in namespaces of its own and serves it until it ends; resolves with its exit code. All that
 * a run makes (processes, interfaces, rules, mounts) lives in these namespaces, and they die with this process: the
 * kernel kills their first process when ours ends, however it ends.
 */
export async function runOuter(
  options: DevOptions,
  isolation: Isolation,
  paths: StatePaths,
  path: string,
): Promise<number> {
  const listeners = new Map<number, Server>();
  for (const port of fixedPorts(options)) listeners.set(port, await listen(port, options)); // a port in use ends it here
  const enter = ["--pdeathsig", "KILL", "unshare", ...isolation.unshareArgs, "sh", "-euc", ENTER, "sh"];
  const inner = [...options.program, "dev", options.folder, "--inside"];
  const child = spawn("setpriv", [...enter, ...inner], {
    // A session of its own: Ctrl-C reaches this process alone, which then ends things in order.
    detached: true,
    env: { ...process.env, PATH: path, NODE_COMPILE_CACHE: paths.compileCache },
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  if (child.pid !== undefined) await recordRun(paths, child.pid);

  let stops = 0;
  const stop = () => {
    stops++;
    if (stops === 1 && child.connected) send(child, { kind: "stop" });
    else child.kill("SIGKILL");
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, stop);

  child.on("message", (message: ToOuter) => void answer(child, options, listeners, message));
  return await new Promise<number>((resolve, reject) => {
    child.once("error", (error) =>
      reject(new TrysailError("failed-precondition", `cannot run setpriv: ${error.message}`)),
    );
    child.once("exit", (code, signal) => {
      for (const server of listeners.values()) server.close();
      resolve(signal !== null || stops > 1 ? 1 : (code ?? 1));
    });
  });
}

async function answer(
  child: ChildProcess,
  options: DevOptions,
  listeners: Map<number, Server>,
  message: ToOuter,
): Promise<void> {
  if (message.kind === "ready") {
    send(child, { kind: "start", options });
    return;
  }
  const { hostPort } = message;
  try {
    const server = listeners.get(hostPort) ?? (await listen(hostPort, options));
    listeners.delete(hostPort);
    // The socket goes to the inner process; connections still come from this machine's network, where it was made.
    child.send({ kind: "listener", hostPort } satisfies ToInner, server, () => server.close());
  } catch (thrown) {
    send(child, { kind: "refused", hostPort, reason: messageOf(thrown) });
  }
}

/** Ports known before anything starts. */
function fixedPorts(options: DevOptions): number[] {
  const controlPlane = options.hostPorts ? controlPlanePorts(options) : [];
  return [...controlPlane, ...options.expose.map(({ hostPort }) => hostPort)];
}

/** The control plane's ports, the same on the host as inside. */
export function controlPlanePorts(options: DevOptions): number[] {
  const plaintext = options.plaintextPort === undefined ? [] : [options.plaintextPort];
  return [15012, 15014, 15017, 8080, ...plaintext];
}

/** How to do without a port depends on who asks for it. */
function wayOut(port: number, options: DevOptions): string {
  if (options.expose.some(({ hostPort }) => hostPort === port)) return "give --expose another one";
  if (controlPlanePorts(options).includes(port)) return "run with --no-host-ports";
  return `change the annotation ${HOST_PORT_ANNOTATION}, or run with --no-host-ports`;
}

function listen(port: number, options: DevOptions): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer({ pauseOnConnect: true });
    server.once("error", (error) => {
      const inUse = "code" in error && error.code === "EADDRINUSE";
      const reason = inUse
        ? `is in use: end the program that has it, or ${wayOut(port, options)}`
        : `cannot be used: ${error.message}`;
      reject(new TrysailError("failed-precondition", `port 127.0.0.1:${port} ${reason}`));
    });
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => resolve(server));
  });
}

function send(child: ChildProcess, message: ToInner): void {
  child.send(message, () => undefined); // the inner process may be gone by now; its exit tells
}
