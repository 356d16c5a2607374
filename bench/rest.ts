import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { startControlPlane } from "./control-plane.ts";
import { type LoadClient, runPush } from "./load-client.ts";
import { buildEndpointSlice, endpointsFile, writeMesh } from "./mesh.ts";
import { replaceFile } from "./replace-file.ts";

const SIZE = { services: 20, endpoints: 5 };
const PROXIES = 50;

/** MB that a control plane of a small mesh holds while 50 proxies are connected, in sync, and nothing happens. */
export async function measureRest(client: LoadClient, scratch: string): Promise<number> {
  const own = join(scratch, "rest");
  const folder = join(own, "mesh");
  await mkdir(folder, { recursive: true });
  await writeMesh(folder, SIZE);
  const controlPlane = await startControlPlane(folder, own);
  try {
    let restMb = Number.POSITIVE_INFINITY;
    const watch = "10.222.3.1";
    await runPush(client, {
      ...{ target: controlPlane.adsAddress, clients: PROXIES, delta: true, watch, scratch },
      before: async () => {
        restMb = controlPlane.memoryMb();
      },
      // What ends the client.
      change: () => replaceFile(join(folder, endpointsFile(3)), buildEndpointSlice(3, [watch])),
    });
    return restMb;
  } finally {
    await controlPlane.stop();
  }
}
