/** What runs in a signature thread: answers each message of jobs by one of results, in the same order. */
import { sign, verify } from "node:crypto";
import { parentPort } from "node:worker_threads";
import type { SignatureJob, SignatureResult } from "./signature-job.ts";

parentPort?.on("message", (jobs: readonly SignatureJob[]) => parentPort?.postMessage(jobs.map(resultOf)));

function resultOf({ id, hash, bytes, key, signature }: SignatureJob): SignatureResult {
  try {
    return { id, value: signature === undefined ? sign(hash, bytes, key) : verify(hash, bytes, key, signature) };
  } catch (thrown) {
    return { id, error: thrown instanceof Error ? thrown.message : String(thrown) };
  }
}
