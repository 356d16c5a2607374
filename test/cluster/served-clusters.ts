import type { TestContext } from "node:test";
import { TYPE_URL } from "../../src/xds/resource-set.ts";
import type { TestControlPlane } from "../support/control-plane.ts";
import { until } from "../support/until.ts";
import { AdsClient, NODE, sendDelta } from "../support/xds-client.ts";

/** The clusters that a new proxy is sent, one a line. */
export async function servedClusters(t: TestContext, { ports }: Pick<TestControlPlane, "ports">): Promise<string> {
  const client = new AdsClient(t, { port: ports.plaintext ?? 0 });
  const stream = client.delta();
  sendDelta(stream, { node: NODE, typeUrl: TYPE_URL.cluster, resourceNamesSubscribe: ["*"] });
  const { resources } = await until("clusters", () => stream.responses[0]);
  client.close();
  return resources.join("\n");
}
