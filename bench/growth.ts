import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { startControlPlane } from "./control-plane.ts";
import { type LoadClient, runSync } from "./load-client.ts";
import { type MeshSize, writeMesh } from "./mesh.ts";
import { type Measurement, TARGETS } from "./targets.ts";

/** What one size takes. */
export interface GrowthPoint {
  /** Of services, or of proxies. */
  readonly count: number;
  /** Until all proxies are in sync, the least of both protocols, twice each. */
  readonly syncMs: number;
  /** The control plane's processor time for that, which other work on the machine is in far less. */
  readonly cpuMs: number;
  readonly peakMb: number;
}

export interface Growth {
  /** With `PROXIES` proxies. */
  readonly byServices: readonly GrowthPoint[];
  /** With `SERVICES` services. */
  readonly byProxies: readonly GrowthPoint[];
}

export interface GrowthCase {
  readonly client: LoadClient;
  readonly endpoints: number;
  readonly scratch: string;
}

const SERVICES = 1000;
const PROXIES = 100;

/** Doubles the mesh, and triples the proxies: each size is served by a control plane of its own. */
export async function measureGrowth(of: GrowthCase): Promise<Growth> {
  const byServices: GrowthPoint[] = [];
  for (const services of [250, 500, SERVICES, 2 * SERVICES]) {
    const { endpoints } = of;
    byServices.push({ count: services, ...(await measureSize(of, { services, endpoints }, PROXIES)) });
  }
  const known = pointOf(byServices, SERVICES);
  const byProxies: GrowthPoint[] = [];
  for (const proxies of [25, 50, PROXIES, 200, 3 * PROXIES]) {
    const size = { services: SERVICES, endpoints: of.endpoints };
    const point = proxies === PROXIES ? known : await measureSize(of, size, proxies);
    byProxies.push({ ...point, count: proxies });
  }
  return { byServices, byProxies };
}

/** How much more the larger takes, against what was promised. */
export function growthMeasurements({ byServices, byProxies }: Growth): Measurement[] {
  const [once, twice] = [pointOf(byServices, SERVICES), pointOf(byServices, 2 * SERVICES)];
  const [single, triple] = [pointOf(byProxies, PROXIES), pointOf(byProxies, 3 * PROXIES)];
  return [
    {
      name: `${twice.count} services against ${once.count}, processor time`,
      value: twice.cpuMs / once.cpuMs,
      target: TARGETS.twice,
    },
    { name: "the same, memory", value: twice.peakMb / once.peakMb, target: TARGETS.twice },
    {
      name: `${triple.count} proxies against ${single.count}, processor time`,
      value: triple.cpuMs / single.cpuMs,
      target: TARGETS.thrice,
    },
    { name: `${triple.count} proxies in sync`, value: triple.syncMs, target: TARGETS.threeHundredProxies },
  ];
}

async function measureSize({ client, scratch }: GrowthCase, size: MeshSize, proxies: number) {
  const own = join(scratch, `growth-${size.services}-${proxies}`);
  const folder = join(own, "mesh");
  await mkdir(folder, { recursive: true });
  await writeMesh(folder, size);
  const controlPlane = await startControlPlane(folder, own);
  try {
    const took: number[] = [];
    const cpu: number[] = [];
    for (const delta of [false, true, false, true]) {
      const beganMs = controlPlane.cpuMs();
      const result = await runSync(client, { target: controlPlane.adsAddress, clients: proxies, delta });
      if (result.synced !== proxies) throw new Error(`${result.synced} of ${proxies} proxies came in sync`);
      took.push(result.max_ms);
      cpu.push(controlPlane.cpuMs() - beganMs);
    }
    return { syncMs: Math.min(...took), cpuMs: Math.min(...cpu), peakMb: controlPlane.peakMemoryMb() };
  } finally {
    await controlPlane.stop();
    await rm(own, { recursive: true, force: true });
  }
}

function pointOf(points: readonly GrowthPoint[], count: number): GrowthPoint {
  const point = points.find((each) => each.count === count);
  if (point === undefined) throw new Error(`${count} was not measured`);
  return point;
}
