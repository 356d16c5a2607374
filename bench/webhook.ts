import type { ControlPlane } from "./control-plane.ts";
import { during } from "./during.ts";
import { type InjectLoad, measureInject } from "./inject.ts";
import type { LoadClient } from "./load-client.ts";
import { type Measurement, TARGETS } from "./targets.ts";

export interface WebhookCase {
  readonly client: LoadClient;
  readonly controlPlane: ControlPlane;
  /** Over how many reviews memory is watched. */
  readonly reviews: number;
  readonly scratch: string;
  /** Sends every proxy all of its configuration. */
  push(): Promise<unknown>;
}

/** Until the program is compiled and its heap has grown to its size. */
const WARM_UP_REVIEWS = 30_000;

/** `/inject` over HTTPS: what it takes over many reviews, how fast it is, and how fast while proxies are served. */
export async function measureWebhook(of: WebhookCase): Promise<readonly Measurement[]> {
  const { client, controlPlane, reviews, scratch, push } = of;
  const { httpsPort: port, rootCertFile } = controlPlane;
  const inject = (load: Pick<InjectLoad, "connections" | "amount">) =>
    measureInject(client, { port, rootCertFile, ...load }, scratch);

  await inject({ connections: 16, amount: { reviews: WARM_UP_REVIEWS } });
  const before = await controlPlane.liveMemory();
  const beganMs = controlPlane.cpuMs();
  await inject({ connections: 16, amount: { reviews } });
  const cpuMs = controlPlane.cpuMs() - beganMs;
  const after = await controlPlane.liveMemory();
  const alone = await inject({ connections: 16, amount: { seconds: 5, warmUpSeconds: 1 } });
  const busy = await during(push, () => inject({ connections: 4, amount: { seconds: 5, warmUpSeconds: 0 } }));
  const count = reviews.toLocaleString("en");
  return [
    { name: "/inject over HTTPS, 16 connections", value: alone.per_s, target: TARGETS.reviews },
    { name: "/inject, p99", value: alone.p99_ms, target: TARGETS.reviewTime },
    { name: "/inject, processor time a review", value: (cpuMs * 1000) / reviews, target: TARGETS.reviewCpu },
    { name: "/inject while proxies come in sync, p99", value: busy.p99_ms, target: TARGETS.reviewTimeBusy },
    { name: `heap growth over ${count} reviews`, value: after.heapMb - before.heapMb, target: TARGETS.heapGrowth },
    { name: `memory growth (RSS) over ${count} reviews`, value: after.rssMb - before.rssMb, target: TARGETS.rssGrowth },
  ];
}
