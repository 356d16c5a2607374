import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { create, toBinary } from "@bufbuild/protobuf";
import { loadAuthority } from "../src/ca/authority/authority.ts";
import { createFolderStore } from "../src/ca/authority/authority-folder-store.ts";
import { issue } from "../src/ca/issue.ts";
import { DeltaDiscoveryRequestSchema } from "../src/gen/envoy/service/discovery/v3/discovery_pb.ts";
import { systemClock as clock } from "../src/platform/clock.ts";
import { createLog } from "../src/platform/log.ts";
import { systemRandom as random } from "../src/platform/random.ts";
import { openStateDir } from "../src/platform/state-dir.ts";
import { createKeyPool } from "../src/sds/key-pool.ts";
import { createRenewalTurns } from "../src/sds/renewal-turns.ts";
import { createWorkloadSecrets } from "../src/sds/workload-secrets.ts";
import { DeltaStream } from "../src/xds/delta-stream.ts";
import { type NameSet, NameTable } from "../src/xds/name-set.ts";
import { type DeltaRequest, parseDeltaRequest } from "../src/xds/request.ts";
import { TYPE_URL } from "../src/xds/resource-set.ts";
import { ResponseEncoder } from "../src/xds/response-encoder.ts";

interface RotationSize {
  readonly workloads: number;
  /** Over which the renewals are spread. */
  readonly windowMs: number;
}

interface RotationResult {
  readonly workloads: number;
  readonly windowMs: number;
  /** From the order to renew all until the last proxy was sent its certificate. */
  readonly tookMs: number;
  /** Of the event loop meanwhile, beyond the 1 ms at which it is looked at. */
  readonly lagP99Ms: number;
  readonly lagMaxMs: number;
  /** Processor time of the process for each renewal, with all its threads. */
  readonly cpuPerRenewalMs: number;
}

/** Measures in a process of its own, whose event loop does nothing else. */
export async function measureRotation({ workloads, windowMs }: RotationSize): Promise<RotationResult> {
  const args = [fileURLToPath(import.meta.url), String(workloads), String(windowMs)];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return JSON.parse(stdout);
}

const LIMITS = { maxNames: 10, maxNodeBytes: 1000 };

/** Renews the certificates of so many connected workloads, through the protocol's own state of a delta stream each. */
async function rotate({ workloads, windowMs }: RotationSize): Promise<RotationResult> {
  const folder = await mkdtemp(join(tmpdir(), "trysail-bench-"));
  const trustDomain = "cluster.local";
  const log = createLog("silent");
  const store = createFolderStore({ state: await openStateDir(join(folder, "state")), trustDomain });
  const authority = await loadAuthority({ store, clock, random, trustDomain, log });
  const keys = createKeyPool({ size: 64 });
  let sent = 0;
  const secrets = createWorkloadSecrets({
    issue: (request) => issue({ signer: authority.signer(), clock, maxTtlMs: DAY_MS }, request),
    trustBundle: { rootsPem: authority.trustBundlePem(), revocationListsPem: "" },
    keys,
    turns: createRenewalTurns({ atOnce: 4 }),
    clock,
    random,
    ttlMs: DAY_MS,
    log,
  });

  const table = new NameTable();
  const deps = { table, encoder: new ResponseEncoder({ keptBytes: 0 }), limits: LIMITS };
  const none: Omit<DeltaRequest, "nonce" | "subscribe"> = {
    ...{ typeUrl: TYPE_URL.secret, unsubscribe: table.empty, initialVersions: new Map(), error: null, node: null },
  };
  const subscribe = secretNames(table);
  const handles = Array.from({ length: workloads }, (_, index) => {
    let stream: DeltaStream | undefined;
    const identity = { trustDomain, namespace: `ns-${index % 100}`, serviceAccount: `account-${index}` };
    const handle = secrets.open(identity, () => {
      const set = handle.current();
      if (set === undefined) return;
      const resources = new Map([[TYPE_URL.secret, set]]);
      if (stream === undefined) {
        stream = new DeltaStream(deps, resources);
        stream.request({ ...none, subscribe, nonce: "" });
      }
      stream.change(resources);
      for (let response = stream.next(); response !== null; response = stream.next()) {
        sent++;
        stream.request({ ...none, subscribe: table.empty, nonce: response.nonce });
      }
    });
    return handle;
  });
  const allSent = async (count: number) => {
    while (sent < count) await sleep(20);
  };
  await allSent(workloads);
  sent = 0;
  const lag = monitorEventLoopDelay({ resolution: 1 });
  const cpu = process.cpuUsage();
  const began = performance.now();
  lag.enable();
  secrets.renewAll(windowMs);
  await allSent(workloads);
  lag.disable();
  const tookMs = performance.now() - began;
  const { user, system } = process.cpuUsage(cpu);
  for (const handle of handles) handle.close();
  keys.stop();
  await rm(folder, { recursive: true });
  return {
    workloads,
    windowMs,
    tookMs,
    lagP99Ms: lag.percentile(99) / 1e6 - 1,
    lagMaxMs: lag.max / 1e6 - 1,
    cpuPerRenewalMs: (user + system) / 1000 / workloads,
  };
}

/** The names that Envoy subscribes to, as a request of its own brings them. */
function secretNames(table: NameTable): NameSet {
  const request = create(DeltaDiscoveryRequestSchema, { resourceNamesSubscribe: ["default", "ROOTCA"] });
  return parseDeltaRequest(toBinary(DeltaDiscoveryRequestSchema, request), table, LIMITS).subscribe;
}

const DAY_MS = 86_400_000;

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [workloads = 10_000, windowMs = 30_000] = process.argv.slice(2).map(Number);
  console.log(JSON.stringify(await rotate({ workloads, windowMs })));
}
