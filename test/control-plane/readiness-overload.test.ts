import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { readFile } from "node:fs/promises";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { eventLoopCpuMs } from "../support/cpu-time.ts";
import { buildCsr, csrPem } from "../support/csr.ts";
import { type ServeProcess, serveProcess } from "../support/serve-process.ts";
import { until } from "../support/until.ts";

const METHOD = "/istio.v1.auth.IstioCertificateService/CreateCertificate";
/** Together more than may wait for a signature. */
const CONNECTIONS = 48;
const CALLS_PER_CONNECTION = 32;
const PROBES = 15;
const PATIENT = { timeoutMs: 120_000 };
/** As the chart's readinessProbe has it. */
const PROBE_TIMEOUT_MS = 3000;

interface Flood {
  readonly issued: () => number;
  readonly refused: () => readonly ServiceError[];
  stop(): void;
}

/** Callers with proof of who they are, who ask again as soon as they are answered. */
async function flood(t: TestContext, mesh: ServeProcess): Promise<Flood> {
  const root = credentials.createSsl(await readFile(mesh.rootPath));
  const metadata = new Metadata();
  const token = await mesh.issuer.issue({ namespace: "shop", serviceAccount: "cart", ttlMs: 600_000 });
  metadata.set("authorization", `Bearer ${token}`);
  const csr = csrPem(buildCsr({ keys: generateKeyPairSync("ec", { namedCurve: "P-256" }) }));
  const message = Buffer.from(new BinaryWriter().tag(1, WireType.LengthDelimited).string(csr).finish());
  const asIs = (bytes: Buffer) => bytes;
  let issued = 0;
  let stopped = false;
  const refused: ServiceError[] = [];
  const options = { "grpc.use_local_subchannel_pool": 1, "grpc.enable_retries": 0 };
  const clients = Array.from({ length: CONNECTIONS }, () => new Client(`localhost:${mesh.ports.grpc}`, root, options));
  const ask = (client: Client): void => {
    client.makeUnaryRequest(METHOD, asIs, asIs, message, metadata, (error) => {
      if (stopped) return;
      if (error === null) {
        issued++;
        return ask(client);
      }
      refused.push(error);
      // As it was told, and as gRPC's own retries do.
      setTimeout(() => stopped || ask(client), 1000);
    });
  };
  for (const client of clients) for (let call = 0; call < CALLS_PER_CONNECTION; call++) ask(client);
  const stop = () => {
    stopped = true;
    for (const client of clients) client.close();
  };
  t.after(stop);
  return { issued: () => issued, refused: () => refused, stop };
}

/**
 * As the kubelet probes, from a process that nothing else keeps busy: the status, and how much processor time the event
 * loop took for others before it answered. The time on the wall would say what else the machine does.
 */
async function probe({ child, ports }: ServeProcess): Promise<{ code: string; loopMs: number }> {
  assert.ok(child.pid !== undefined);
  const before = await eventLoopCpuMs(child.pid);
  const url = `http://127.0.0.1:${ports.http}/ready`;
  const args = ["-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "120", url];
  const { stdout } = await promisify(execFile)("curl", args);
  return { code: stdout, loopMs: (await eventLoopCpuMs(child.pid)) - before };
}

test("while more is asked for than can be signed, /ready answers in time, and who is one too many is told when to come again", async (t) => {
  const mesh = await serveProcess(t);
  const load = await flood(t, mesh);
  await until("more than may wait", () => load.refused().length > 0, PATIENT);
  const taken: number[] = [];
  for (let count = 0; count < PROBES; count++) {
    const refusedBefore = load.refused().length;
    const { code, loopMs } = await probe(mesh);
    assert.equal(code, "200");
    taken.push(loopMs);
    await until("the queue to be full again", () => load.refused().length > refusedBefore, PATIENT);
  }
  load.stop();
  const slowest = Math.max(...taken);
  assert.ok(slowest < PROBE_TIMEOUT_MS, `the slowest of ${PROBES} probes waited for ${slowest} ms of work`);
  assert.ok(load.issued() > 0, "certificates are issued meanwhile");
  const others = load.refused().filter(({ code }) => code !== status.RESOURCE_EXHAUSTED);
  assert.deepEqual(others.slice(0, 3), [], "and nothing timed out or broke");
  for (const { metadata } of load.refused()) assert.deepEqual(metadata.get("grpc-retry-pushback-ms"), ["1000"]);
  const sorted = taken.toSorted((a, b) => a - b).join(" ");
  t.diagnostic(`probes ${sorted} ms; ${load.issued()} issued, ${load.refused().length} refused`);
});
