import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { type LoadClient, runClient } from "./load-client.ts";
import { buildReviewTemplate } from "./review-template.ts";

/** What the clients say of the webhook's answers. */
export interface InjectResult {
  /** How many were counted. */
  readonly n: number;
  readonly per_s: number;
  readonly p99_ms: number;
}

export interface InjectLoad {
  readonly port: number;
  /** What the webhook's certificate is checked against. */
  readonly rootCertFile: string;
  readonly connections: number;
  /** How many there are whose pods come in turn; null where each pod is of another, whose like was never seen. */
  readonly deployments: number | null;
  /** Either for so long, not counting what comes before the program is warm, or so many. */
  readonly amount: { readonly seconds: number; readonly warmUpSeconds: number } | { readonly reviews: number };
}

/** Sends reviews over HTTPS keep-alive, one at a time on each connection. Rejects for an answer that is not a patch. */
export async function measureInject(client: LoadClient, load: InjectLoad, scratch: string): Promise<InjectResult> {
  const { port, rootCertFile, connections, deployments, amount } = load;
  if (client.name === "node") return await inThread(load);
  const bodyFile = join(scratch, "review.json");
  await writeFile(bodyFile, buildReviewTemplate());
  return await runClient<InjectResult>(client, [
    ...["-mode", "inject", "-target", `127.0.0.1:${port}`, "-ca", rootCertFile, "-body", bodyFile],
    ...["-clients", String(connections), "-deployments", String(deployments ?? 0)],
    ...("seconds" in amount
      ? ["-for", `${amount.seconds}s`, "-warm-up", `${amount.warmUpSeconds}s`]
      : ["-n", String(amount.reviews), "-warm-up", "0s"]),
  ]);
}

async function inThread({ rootCertFile, ...load }: InjectLoad): Promise<InjectResult> {
  const root = await readFile(rootCertFile, "utf8");
  const worker = new Worker(new URL("./inject-client.ts", import.meta.url), {
    workerData: { ...load, root, template: buildReviewTemplate() },
  });
  try {
    return await new Promise<InjectResult>((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
      worker.once("exit", (code) => reject(new Error(`the client of the webhook ended with ${code}`)));
    });
  } finally {
    await worker.terminate();
  }
}
