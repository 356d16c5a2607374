import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { loadTokenIssuer, type TokenIssuer } from "../../src/ca/jwt/token-issuer.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { openStateDir } from "../../src/platform/state-dir.ts";
import type { Cleanup } from "./cleanup.ts";
import { temporaryPath } from "./state.ts";

const PROGRAM = fileURLToPath(new URL("../../src/cli/trysail.ts", import.meta.url));
const ANY_PORT = ["grpc", "https", "monitoring", "http"].map((name) => `--${name}-addr=127.0.0.1:0`);

/** `trysail serve` in a process of its own. */
export interface ServeProcess {
  readonly child: ChildProcess;
  readonly ports: { readonly grpc: number; readonly https: number; readonly monitoring: number; readonly http: number };
  readonly stateDir: string;
  readonly rootPath: string;
  readonly issuer: TokenIssuer;
}

export interface ServeOptions {
  readonly nodeFlags?: readonly string[];
  readonly flags?: readonly string[];
  readonly cwd?: string;
  /** Of a cluster to serve in place of the folder. */
  readonly kubeconfig?: string;
}

/** Starts it on a folder with one empty document, with such flags for Node and for itself; resolves when it is ready. */
export async function serveProcess(
  t: Cleanup,
  { nodeFlags = [], flags = [], cwd, kubeconfig }: ServeOptions = {},
): Promise<ServeProcess> {
  const [dir, stateDir] = [await temporaryPath(t, "manifests"), await temporaryPath(t, "state")];
  await mkdir(dir);
  await writeFile(join(dir, "empty.yaml"), "");
  const args = [
    ...nodeFlags,
    PROGRAM,
    "serve",
    kubeconfig === undefined ? `--config-dir=${dir}` : `--kubeconfig=${kubeconfig}`,
    `--state-dir=${stateDir}`,
    ...ANY_PORT,
    ...flags,
  ];
  const child = spawn(process.execPath, args, { cwd, stdio: ["ignore", "ignore", "pipe"] });
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  });
  const ports = await portsOf(child);
  const issuer = await loadTokenIssuer({ state: await openStateDir(stateDir), clock: systemClock });
  return { child, ports, stateDir, rootPath: join(stateDir, "ca/root-cert.pem"), issuer };
}

function portsOf(child: ChildProcess): Promise<ServeProcess["ports"]> {
  const { stderr: log } = child;
  if (log === null) throw new TypeError("its log is not read");
  return new Promise((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`trysail serve ended with ${code} before it was ready`)));
    const lines = createInterface({ input: log });
    lines.on("line", (line) => {
      const { msg, ports } = JSON.parse(line);
      if (msg !== "ready") return;
      lines.close();
      // Else it would be kept from writing, one day.
      log.resume();
      resolve(ports);
    });
  });
}
