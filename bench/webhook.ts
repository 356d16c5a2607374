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

/** Their pods come in turn, so that a rollout of any of them is going on. */
const DEPLOYMENTS = 200;

/**
 * `/inject` over HTTPS: what it takes over many reviews, how fast it is, and how fast while proxies are served. Each review
 * is of a pod of its own; where pods of Deployments come, all but the first of each are like one that came before.
 */
export async function measureWebhook(of: WebhookCase): Promise<readonly Measurement[]> {
  const { client, controlPlane, reviews, scratch, push } = of;
  const { httpsPort: port, rootCertFile } = controlPlane;
  const inject = (load: Pick<InjectLoad, "connections" | "amount"> & Partial<Pick<InjectLoad, "deployments">>) =>
    measureInject(client, { port, rootCertFile, deployments: DEPLOYMENTS, ...load }, scratch);
  const cpuOf = async (count: number, deployments: number | null) => {
    const beganMs = controlPlane.cpuMs();
    await inject({ connections: 16, deployments, amount: { reviews: count } });
    return ((controlPlane.cpuMs() - beganMs) * 1000) / count;
  };

  // Pods like no other warm up all that there is, and then those of Deployments fill what is remembered.
  for (const deployments of [null, DEPLOYMENTS]) {
    await inject({ connections: 16, deployments, amount: { reviews: WARM_UP_REVIEWS / 2 } });
  }
  const before = await controlPlane.liveMemory();
  const cpu = await cpuOf(reviews, DEPLOYMENTS);
  const newCpu = await cpuOf(WARM_UP_REVIEWS, null);
  const after = await controlPlane.liveMemory();
  const duration = { seconds: 5, warmUpSeconds: 1 };
  const alone = await inject({ connections: 16, amount: duration });
  const unlike = await inject({ connections: 16, deployments: null, amount: duration });
  const busy = await during(push, () => inject({ connections: 4, amount: { seconds: 5, warmUpSeconds: 0 } }));
  const count = reviews.toLocaleString("en");
  return [
    { name: "/inject over HTTPS, 16 connections", value: alone.per_s, target: TARGETS.reviews },
    { name: "/inject, p99", value: alone.p99_ms, target: TARGETS.reviewTime },
    { name: "/inject, processor time a review", value: cpu, target: TARGETS.reviewCpu },
    { name: "/inject, no pod like another", value: unlike.per_s, target: TARGETS.reviews },
    { name: "/inject, no pod like another, p99", value: unlike.p99_ms, target: TARGETS.reviewTime },
    { name: "/inject, no pod like another, processor time", value: newCpu, target: TARGETS.reviewCpu },
    { name: "/inject while proxies come in sync, p99", value: busy.p99_ms, target: TARGETS.reviewTimeBusy },
    { name: `heap growth over ${count} reviews`, value: after.heapMb - before.heapMb, target: TARGETS.heapGrowth },
    { name: `memory growth (RSS) over ${count} reviews`, value: after.rssMb - before.rssMb, target: TARGETS.rssGrowth },
  ];
}
