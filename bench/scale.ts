import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { startControlPlane } from "./control-plane.ts";
import { type Growth, type GrowthCase, growthMeasurements, measureGrowth } from "./growth.ts";
import { writeMesh } from "./mesh.ts";
import { measureRest } from "./rest.ts";
import { measureStorm } from "./storm.ts";
import { type Measurement, TARGETS } from "./targets.ts";

const PROXIES = 100;
const STORM = { changesPerSecond: 1000, seconds: 30 };

/** What the control plane takes at rest, as the mesh grows, and while endpoints change without a pause. */
export async function measureScale(of: GrowthCase): Promise<{ measurements: Measurement[]; growth: Growth }> {
  const restMb = await measureRest(of.client, of.scratch);
  const growth = await measureGrowth(of);
  const { perSecond, convergedMs, growthMb } = await stormAt(of);
  const measurements = [
    { name: "memory at rest, 20 services, 50 proxies", value: restMb, target: TARGETS.restMemory },
    ...growthMeasurements(growth),
    { name: `endpoint changes for ${STORM.seconds} s`, value: perSecond, target: TARGETS.changes },
    { name: `the last of them at ${PROXIES} proxies`, value: convergedMs, target: TARGETS.lastChange },
    { name: "memory growth (RSS) over their last third", value: growthMb, target: TARGETS.rssGrowth },
  ];
  return { measurements, growth };
}

async function stormAt({ client, endpoints, scratch }: GrowthCase) {
  const own = join(scratch, "storm");
  const folder = join(own, "mesh");
  await mkdir(folder, { recursive: true });
  const size = { services: 1000, endpoints };
  await writeMesh(folder, size);
  const controlPlane = await startControlPlane(folder, own);
  try {
    return await measureStorm({ ...{ client, controlPlane, folder, size, scratch: own, proxies: PROXIES }, ...STORM });
  } finally {
    await controlPlane.stop();
  }
}
