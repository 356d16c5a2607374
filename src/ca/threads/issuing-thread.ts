import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import { messageOf, TrysailError } from "../../platform/errors.ts";
import type { IssuedCertificate, SigningMaterial } from "../signer.ts";
import type { IssuingJob, IssuingResult, NumberedJob, ThreadMessage } from "./issuing-job.ts";
import { errorOf } from "./thrown-message.ts";

/** One thread that answers certificate signing requests. */
export interface IssuingThread {
  /** Jobs that are not answered yet. */
  readonly pending: number;
  /** Rejects with what refuses the request, or with `unavailable` where the thread ends first. */
  run(job: IssuingJob, material: SigningMaterial): Promise<IssuedCertificate>;
  stop(): Promise<void>;
}

/** Of the same kind as this file: the sources, or what was compiled from them. */
const PROGRAM = new URL(`./issuing-worker${extname(import.meta.url)}`, import.meta.url);

/** Starts a thread; `onEnd` is called when it has ended, whoever ended it. It keeps the process alive only while it works. */
export function startIssuingThread(onEnd: () => void): IssuingThread {
  const worker = new Worker(PROGRAM, { name: "certificates" });
  const waiting = new Map<number, PromiseWithResolvers<IssuedCertificate>>();
  let queued: NumberedJob[] = [];
  let lastId = 0;
  let told: SigningMaterial | undefined;
  let failure: unknown;

  worker.unref();
  worker.on("message", (results: readonly IssuingResult[]) => {
    for (const result of results) {
      const answer = waiting.get(result.id);
      waiting.delete(result.id);
      if ("issued" in result) answer?.resolve(result.issued);
      else answer?.reject(errorOf(result.thrown));
    }
    if (waiting.size === 0) worker.unref();
  });
  worker.on("error", (thrown) => {
    failure = thrown;
  });
  worker.on("exit", () => {
    const cause = new Error(`a thread that issues has ended${failure === undefined ? "" : `: ${messageOf(failure)}`}`);
    for (const answer of waiting.values()) {
      answer.reject(
        new TrysailError("unavailable", "the certificate authority is not available: try again", { cause }),
      );
    }
    waiting.clear();
    onEnd();
  });

  const post = (message: ThreadMessage) => worker.postMessage(message);

  /** What came within one turn of the event loop goes over at once: to wake a thread costs more than a message. */
  function send(): void {
    const jobs = queued;
    queued = [];
    if (jobs.length > 0) post({ jobs });
  }

  return {
    get pending() {
      return waiting.size;
    },
    run({ csr, ...job }, material) {
      if (waiting.size === 0) worker.ref();
      if (material !== told) {
        send();
        post({ material });
        told = material;
      }
      const id = ++lastId;
      const answer = Promise.withResolvers<IssuedCertificate>();
      waiting.set(id, answer);
      // A copy, since a small Buffer is a part of a large pool, which would go over as a whole.
      const copy = typeof csr === "string" ? csr : new Uint8Array(csr);
      if (queued.push({ ...job, id, csr: copy }) === 1) setImmediate(send);
      return answer.promise;
    },
    async stop() {
      await worker.terminate();
    },
  };
}
