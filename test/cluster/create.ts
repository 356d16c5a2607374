import { until } from "../support/until.ts";
import type { KubernetesClient } from "./kubernetes-client.ts";

/** Creates an object that must be accepted, once the API server is ready for it. */
export async function create(client: KubernetesClient, path: string, object: object): Promise<void> {
  await until(`${path} to take ${JSON.stringify(object).slice(0, 200)}`, async () => {
    const { status, body } = await client.call("POST", path, object);
    if (status !== 201) throw new Error(JSON.stringify(body));
    return true;
  });
}
