/**
 * `node bench/stream-rotation.ts [WORKLOADS] [WINDOW_SECONDS]`: another authority signs, and every workload is sent a new
 * certificate over the stream that it holds open: secret discovery over TLS from a control plane in a process of its own.
 */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Client, type ClientDuplexStream, credentials, Metadata } from "@grpc/grpc-js";
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from "../src/gen/envoy/service/discovery/v3/discovery_pb.ts";
import { TYPE_URL } from "../src/xds/resource-set.ts";
import { type ServeProcess, serveProcess } from "../test/support/serve-process.ts";
import { processCpuMs } from "./process-cpu.ts";

const METHOD = "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets";
const STREAMS_PER_CONNECTION = 30;
/** Of a certificate's life: see RENEWAL_WINDOW_SHARE in src/main.ts. */
const WINDOW_SHARE = 0.05;
/** At which Node looks at the event loop for prom-client. */
const LAG_RESOLUTION_MS = 10;
const TRYSAIL = fileURLToPath(new URL("../src/cli/trysail.ts", import.meta.url));

const asIs = (bytes: Buffer) => bytes;

interface Workloads {
  /** Certificates that came, over all streams. */
  received(): number;
  close(): void;
}

/** Opens so many streams, each for a workload of its own, which accepts what it is sent. */
async function openWorkloads({ ports, rootPath, issuer }: ServeProcess, count: number): Promise<Workloads> {
  const root = credentials.createSsl(await readFile(rootPath));
  const clients: Client[] = [];
  let received = 0;
  let closing = false;
  for (let index = 0; index < count; index++) {
    if (index % STREAMS_PER_CONNECTION === 0) {
      clients.push(new Client(`localhost:${ports.grpc}`, root, { "grpc.use_local_subchannel_pool": 1 }));
      await sleep(1);
    }
    const [namespace, serviceAccount] = [`ns-${index % 100}`, `account-${index}`];
    const metadata = new Metadata();
    metadata.set("authorization", `Bearer ${await issuer.issue({ namespace, serviceAccount, ttlMs: 3_600_000 })}`);
    const stream = clients.at(-1)?.makeBidiStreamRequest(METHOD, asIs, asIs, metadata);
    if (stream === undefined) throw new Error("no client");
    stream.on("error", (error) => closing || console.error(`stream ${index}: ${error.message}`));
    stream.on("data", (bytes: Buffer) => {
      const { nonce, resources } = fromBinary(DeltaDiscoveryResponseSchema, bytes);
      if (resources.some(({ name }) => name === "default")) received++;
      ask(stream, { responseNonce: nonce });
    });
    const id = `sidecar~10.1.2.3~pod-${index}.${namespace}~${namespace}.svc.cluster.local`;
    ask(stream, {
      node: { id, metadata: { NAMESPACE: namespace, SERVICE_ACCOUNT: serviceAccount } },
      resourceNamesSubscribe: ["default", "ROOTCA"],
    });
  }
  return {
    received: () => received,
    close() {
      closing = true;
      for (const client of clients) client.close();
    },
  };
}

type Asking = Omit<Parameters<typeof create<typeof DeltaDiscoveryRequestSchema>>[1] & object, "$typeName">;

function ask(stream: ClientDuplexStream<Buffer, Buffer>, request: Asking): void {
  const message = create(DeltaDiscoveryRequestSchema, { ...request, typeUrl: TYPE_URL.secret });
  stream.write(Buffer.from(toBinary(DeltaDiscoveryRequestSchema, message)));
}

/** The 99th percentile of how long its event loop kept waiting since this was asked last. */
async function lagP99Ms({ ports }: ServeProcess): Promise<number> {
  const metrics = await (await fetch(`http://127.0.0.1:${ports.monitoring}/metrics`)).text();
  const [, seconds] = /^nodejs_eventloop_lag_p99_seconds (\S+)$/m.exec(metrics) ?? [];
  return Number(seconds) * 1000 - LAG_RESOLUTION_MS;
}

async function measure(ends: (() => unknown)[], workloads: number, windowSeconds: number): Promise<object> {
  const controlPlane = await serveProcess(
    { after: (end) => void ends.unshift(end) },
    { flags: [`--workload-cert-ttl=${windowSeconds / WINDOW_SHARE}s`] },
  );
  const streams = await openWorkloads(controlPlane, workloads);
  ends.unshift(streams.close);
  const all = async (count: number) => {
    while (streams.received() < count) await sleep(20);
  };
  await all(workloads);
  const where = ["--server", `http://127.0.0.1:${controlPlane.ports.http}`, "--state-dir", controlPlane.stateDir];
  const ca = (...args: string[]) => promisify(execFile)(process.execPath, [TRYSAIL, "ca", ...args, ...where]);
  await ca("prepare");
  // The new bundle goes to all of them first, which is not what is measured.
  await sleep(5000);
  await lagP99Ms(controlPlane);
  const before = streams.received();
  const cpuMs = processCpuMs(controlPlane.child.pid);
  const began = performance.now();
  await ca("activate", "--force");
  await all(before + workloads);
  const tookMs = performance.now() - began;
  return {
    ...{ workloads, windowMs: windowSeconds * 1000, tookMs },
    lagP99Ms: await lagP99Ms(controlPlane),
    cpuPerRenewalMs: (processCpuMs(controlPlane.child.pid) - cpuMs) / workloads,
  };
}

const [workloads = 9_999, windowSeconds = 30] = process.argv.slice(2).map(Number);
const ends: (() => unknown)[] = [];
try {
  console.log(JSON.stringify(await measure(ends, workloads, windowSeconds)));
} finally {
  for (const end of ends) await end();
}
