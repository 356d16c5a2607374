import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, open, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { createServingCertificate } from "../../src/ca/serving/serving-certificate.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import type { TestKubernetes } from "../../test/cluster/start-kubernetes.ts";
import { issueBy, temporaryAuthority } from "../../test/support/authority.ts";
import type { Cleanup } from "../../test/support/cleanup.ts";
import { postObject, postObjects } from "../cluster-objects.ts";
import { endProcess } from "../end-process.ts";
import { freePorts } from "../free-ports.ts";
import { processMemoryMb } from "../process-memory.ts";
import type { Contender } from "./contender.ts";

const BUILT = fileURLToPath(new URL("../../.cache/istiod/", import.meta.url));
const NAMESPACE = "istio-system";
const START_MS = 60_000;

/**
 * What istiod would wait for by its own limits rather than for its work, raised until it does not: requests and pushes at
 * a time (25 each on two cores), and how often it may ask the API server (80/s), which it does for each certificate.
 * How long it gathers changes (100 ms) is how it works, and left alone.
 */
const LIMITS = {
  environment: { PILOT_PUSH_THROTTLE: "1000", PILOT_MAX_REQUESTS_PER_SECOND: "100000" },
  flags: ["--kubernetesApiQPS=10000", "--kubernetesApiBurst=20000"],
};

/** Starts istiod outside of the cluster, with its CA and its webhook; rejects with its log where it does not become ready. */
export async function startIstiod(t: Cleanup, kubernetes: TestKubernetes, scratch: string): Promise<Contender> {
  const program = join(BUILT, "pilot-discovery");
  if (!existsSync(program)) throw new Error("there is no istiod to measure: run bench/istiod/build.sh");
  await postObjects(kubernetes, [{ apiVersion: "v1", kind: "Namespace", metadata: { name: NAMESPACE } }]);
  await postObject(kubernetes, parse(await readFile(join(BUILT, "injection.yaml"), "utf8")));
  const folder = join(scratch, "istiod");
  await mkdir(folder);
  const serving = await servingFiles(t, folder);
  const [ads, grpc, https, http, monitoring, control] = await freePorts(6);
  const logPath = join(folder, "istiod.log");
  const log = await open(logPath, "w");
  const began = performance.now();
  const child = spawn(
    program,
    [
      ...["discovery", `--kubeconfig=${kubernetes.kubeconfig}`, "--clusterID=Kubernetes"],
      ...[`--grpcAddr=127.0.0.1:${ads}`, `--secureGRPCAddr=127.0.0.1:${grpc}`, `--httpsAddr=127.0.0.1:${https}`],
      ...[`--httpAddr=127.0.0.1:${http}`, `--monitoringAddr=127.0.0.1:${monitoring}`, `--ctrlz_port=${control}`],
      ...[`--caCertFile=${serving.root}`, `--tlsCertFile=${serving.certificate}`, `--tlsKeyFile=${serving.key}`],
      ...LIMITS.flags,
    ],
    {
      cwd: folder,
      stdio: ["ignore", log.fd, log.fd],
      env: { ...process.env, ...LIMITS.environment, POD_NAMESPACE: NAMESPACE, POD_NAME: "istiod" },
    },
  );
  await log.close();
  const stop = () => endProcess(child);
  t.after(stop);
  while (!(await isReady(`http://127.0.0.1:${http}/ready`))) {
    if (child.exitCode !== null || performance.now() - began > START_MS)
      throw new Error(`istiod is not ready:\n${(await readFile(logPath, "utf8")).slice(-5000)}`);
    await sleep(10);
  }
  return {
    name: "istiod",
    readyMs: performance.now() - began,
    adsAddress: `127.0.0.1:${ads}`,
    grpcPort: Number(grpc),
    httpsPort: Number(https),
    rootCertFile: serving.root,
    peakMemoryMb: () => processMemoryMb(child.pid, "VmHWM"),
    stop,
  };
}

/** A certificate for `localhost`, by which the clients know the server. */
async function servingFiles(t: Cleanup, folder: string) {
  const { signer, rootCertificatePem } = await temporaryAuthority(t, systemClock);
  const serving = createServingCertificate({
    issue: issueBy(signer, systemClock),
    clock: systemClock,
    log: createLog("silent"),
    hosts: ["localhost", "127.0.0.1"],
  });
  await serving.start();
  t.after(() => serving.stop());
  const { chainPem, keyPem } = serving.current();
  const write = async (name: string, content: string | Uint8Array) => {
    await writeFile(join(folder, name), content, { mode: 0o600 });
    return join(folder, name);
  };
  return {
    root: await write("root.pem", rootCertificatePem),
    certificate: await write("serving.pem", chainPem),
    key: await write("serving-key.pem", keyPem.reveal()),
  };
}

async function isReady(url: string): Promise<boolean> {
  try {
    return (await fetch(url)).status === 200;
  } catch {
    return false; // not listening yet
  }
}
