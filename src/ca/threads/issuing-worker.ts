/** What runs in a thread that issues: answers jobs in their order. */
import { parentPort } from "node:worker_threads";
import { systemRandom } from "../../platform/random.ts";
import { answerCsr } from "../answer-csr.ts";
import { issue } from "../issue.ts";
import { blockingSignatures } from "../signatures.ts";
import { createSigner, type IssuedCertificate, type Signer } from "../signer.ts";
import type { IssuingJob, IssuingResult, NumberedJob, ThreadMessage } from "./issuing-job.ts";
import { thrownMessage } from "./thrown-message.ts";

/**
 * A message of jobs is answered in parts, so that this thread works on while the other one uses what it was answered. Each
 * part can wake the other thread, so smaller ones cost more than they bring.
 */
const ANSWERED_AT_ONCE = 8;

let now = 0;
const clock = { now: () => now };
let signer: Signer | undefined;

parentPort?.on("message", (message: ThreadMessage) => {
  if ("material" in message) signer = createSigner({ ...message.material, clock, random: systemRandom });
  else void answerAll(message.jobs);
});

async function answerAll(jobs: readonly NumberedJob[]): Promise<void> {
  let results: IssuingResult[] = [];
  for (const job of jobs) {
    results.push(await answer(job));
    if (results.length < ANSWERED_AT_ONCE) continue;
    parentPort?.postMessage(results);
    results = [];
  }
  if (results.length > 0) parentPort?.postMessage(results);
}

async function answer({ id, ...job }: NumberedJob): Promise<IssuingResult> {
  try {
    return { id, issued: await issued(job) };
  } catch (thrown) {
    return { id, thrown: thrownMessage(thrown) };
  }
}

function issued(job: IssuingJob): Promise<IssuedCertificate> {
  if (signer === undefined) throw new Error("a thread that issues was not told by what");
  const limits = { signer, clock, maxTtlMs: job.maxTtlMs, signatures: blockingSignatures };
  now = job.now;
  return answerCsr({ signatures: blockingSignatures, issue: (request) => issue(limits, request) }, job);
}
