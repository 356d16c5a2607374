import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, open, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { endProcess } from "./end-process.ts";
import { freePorts } from "./free-ports.ts";
import { type LiveMemory, liveMemory } from "./live-memory.ts";
import { processCpuMs } from "./process-cpu.ts";
import { processMemoryMb } from "./process-memory.ts";

/** The control plane under measurement: the program as it is published, as a process of its own. */
export interface ControlPlane {
  /** host:port of ADS without TLS. */
  readonly adsAddress: string;
  /** Of the webhooks and the certificate API, on loopback. */
  readonly httpsPort: number;
  /** Of the certificate service over TLS, on loopback. */
  readonly grpcPort: number;
  readonly stateDir: string;
  /** What the certificates of its TLS ports are checked against. */
  readonly rootCertFile: string;
  /** From the start of the process until /ready said yes. */
  readonly readyMs: number;
  /** What it holds now, as the kernel counts it, in MB (VmRSS). */
  memoryMb(): number;
  /** The most memory it ever held, in MB (VmHWM). */
  peakMemoryMb(): number;
  /** What it holds now, behind a full collection. */
  liveMemory(): Promise<LiveMemory>;
  /** Processor time of all its threads since its start. */
  cpuMs(): number;
  /** How long /ready takes to say yes. */
  probeMs(): Promise<number>;
  stop(): Promise<void>;
}

/** Starts `trysail serve` on a folder, or a cluster; rejects with its log where it ends or is not ready in 30 s. */
export async function startControlPlane(
  served: string | { readonly kubeconfig: string },
  scratch: string,
): Promise<ControlPlane> {
  const [ads, http, grpc, https, monitoring, inspector] = await freePorts(6);
  const stateDir = join(scratch, "state");
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const program = fileURLToPath(new URL("../dist/cli/trysail.js", import.meta.url));
  if (!existsSync(program)) throw new Error("there is no dist to measure: run make build");
  const logPath = join(scratch, "control-plane.log");
  const logFile = await open(logPath, "w");
  const began = performance.now();
  const child = spawn(
    program,
    [
      ...["serve", "--state-dir", stateDir],
      ...(typeof served === "string" ? ["--config-dir", served] : ["--kubeconfig", served.kubeconfig]),
      ...["--plaintext-addr", `127.0.0.1:${ads}`, "--http-addr", `127.0.0.1:${http}`],
      ...["--grpc-addr", `127.0.0.1:${grpc}`, "--https-addr", `127.0.0.1:${https}`],
      ...["--monitoring-addr", `127.0.0.1:${monitoring}`],
    ],
    {
      // To a file: reading a line for each review would be work of this process, beside the clients'.
      stdio: ["ignore", "ignore", logFile.fd],
      env: {
        ...process.env,
        // The program's first line says how Node is started, and finds this one.
        PATH: `${dirname(process.execPath)}:${process.env.PATH}`,
        NODE_OPTIONS: `--inspect-port=127.0.0.1:${inspector}`,
      },
    },
  );
  await logFile.close();
  const stop = () => endProcess(child);
  const readyUrl = `http://127.0.0.1:${http}/ready`;
  while (!(await isReady(readyUrl))) {
    if (child.exitCode !== null)
      throw new Error(`the control plane ended with ${child.exitCode}:\n${await tailOf(logPath)}`);
    if (performance.now() - began > 30_000) {
      await stop();
      throw new Error(`the control plane was not ready in 30 s:\n${await tailOf(logPath)}`);
    }
    await sleep(10);
  }
  return {
    adsAddress: `127.0.0.1:${ads}`,
    httpsPort: Number(https),
    grpcPort: Number(grpc),
    stateDir,
    rootCertFile: join(stateDir, "ca", "root-cert.pem"),
    readyMs: performance.now() - began,
    memoryMb: () => processMemoryMb(child.pid, "VmRSS"),
    peakMemoryMb: () => processMemoryMb(child.pid, "VmHWM"),
    liveMemory() {
      child.kill("SIGUSR1"); // only now, so that what was measured before knew no inspector
      return liveMemory(Number(inspector));
    },
    cpuMs: () => processCpuMs(child.pid),
    async probeMs() {
      const began = performance.now();
      if (!(await isReady(readyUrl))) throw new Error("the control plane is not ready any more");
      return performance.now() - began;
    },
    stop,
  };
}

async function tailOf(path: string): Promise<string> {
  return (await readFile(path, "utf8")).slice(-10_000);
}

async function isReady(url: string): Promise<boolean> {
  try {
    return (await fetch(url)).status === 200;
  } catch {
    return false; // not listening yet
  }
}
