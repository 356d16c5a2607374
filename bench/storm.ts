import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { ControlPlane } from "./control-plane.ts";
import { type LoadClient, runPush } from "./load-client.ts";
import { buildEndpointSlice, endpointAddresses, endpointsFile, type MeshSize } from "./mesh.ts";

export interface Storm {
  readonly client: LoadClient;
  readonly controlPlane: ControlPlane;
  /** The folder that it serves, and one on the same file system that it does not see. */
  readonly folder: string;
  readonly scratch: string;
  readonly size: MeshSize;
  readonly proxies: number;
  readonly changesPerSecond: number;
  readonly seconds: number;
}

export interface StormResult {
  /** Changes that were written each second. */
  readonly perSecond: number;
  /** From the last change until the last proxy was sent it. */
  readonly convergedMs: number;
  /** How much more memory was held in the last third than in the second, both as the mean of each second's, in MB. */
  readonly growthMb: number;
}

const TICK_MS = 20;

/** Changes the endpoints of one service after the other without a pause, while proxies follow. */
export async function measureStorm(storm: Storm): Promise<StormResult> {
  const { client, controlPlane, scratch, proxies, seconds } = storm;
  const target = controlPlane.adsAddress;
  const memoryMb: number[] = [];
  let perSecond = 0;
  const watch = "10.223.255.1";
  const result = await runPush(client, {
    ...{ target, clients: proxies, delta: true, watch, scratch },
    async before() {
      const sampling = setInterval(() => memoryMb.push(controlPlane.memoryMb()), 1000);
      try {
        perSecond = await changeEndpoints(storm);
      } finally {
        clearInterval(sampling);
      }
    },
    change: () => writeEndpoints(storm, 0, [watch]),
  });
  if (result.push_reached !== proxies) throw new Error(`the last change reached ${result.push_reached} proxies`);
  const third = Math.floor(seconds / 3);
  const growthMb = mean(memoryMb.slice(-third)) - mean(memoryMb.slice(-2 * third, -third));
  return { perSecond, convergedMs: result.push_max_ms ?? Number.POSITIVE_INFINITY, growthMb };
}

/** Resolves with how many changes there were each second. */
async function changeEndpoints(storm: Storm): Promise<number> {
  const { size, changesPerSecond, seconds } = storm;
  const began = performance.now();
  const total = changesPerSecond * seconds;
  let done = 0;
  while (done < total) {
    const due = Math.min(total, Math.ceil(((performance.now() - began) / 1000) * changesPerSecond));
    for (; done < due; done++) {
      // Each service has another last endpoint whenever its turn comes again.
      const turn = Math.floor(done / size.services);
      await writeEndpoints(storm, done % size.services, [`10.223.${turn % 250}.${(done % 250) + 2}`]);
    }
    await sleep(TICK_MS);
  }
  return total / ((performance.now() - began) / 1000);
}

/** A tool that watches the folder must never see half a file, nor the file before it is in its place. */
async function writeEndpoints({ folder, scratch, size }: Storm, index: number, more: readonly string[]): Promise<void> {
  const path = join(scratch, "endpoints.json");
  const slice = buildEndpointSlice(index, [...endpointAddresses(index, size.endpoints), ...more]);
  await writeFile(path, JSON.stringify(slice));
  await rename(path, join(folder, endpointsFile(index)));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
