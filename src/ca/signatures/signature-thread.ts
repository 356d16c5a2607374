import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import { messageOf, TrysailError } from "../../platform/errors.ts";
import type { SignatureJob, SignatureResult } from "./signature-job.ts";

/** One thread that makes and checks signatures. */
export interface SignatureThread {
  /** Jobs that are not answered yet. */
  readonly pending: number;
  /** Rejects with what OpenSSL says, or with `unavailable` where the thread ends first. */
  run(job: Omit<SignatureJob, "id">): Promise<Uint8Array | boolean>;
  stop(): Promise<void>;
}

/** Of the same kind as this file: the sources, or what was compiled from them. */
const PROGRAM = new URL(`./signature-worker${extname(import.meta.url)}`, import.meta.url);

/** Starts a thread; `onEnd` is called when it has ended, whoever ended it. It keeps the process alive only while it works. */
export function startSignatureThread(onEnd: () => void): SignatureThread {
  const worker = new Worker(PROGRAM, { name: "signatures" });
  const waiting = new Map<number, PromiseWithResolvers<Uint8Array | boolean>>();
  let queued: SignatureJob[] = [];
  let lastId = 0;
  let failure: unknown;

  worker.unref();
  worker.on("message", (results: readonly SignatureResult[]) => {
    for (const result of results) {
      const answer = waiting.get(result.id);
      waiting.delete(result.id);
      if ("error" in result) answer?.reject(new Error(result.error));
      else answer?.resolve(result.value);
    }
    if (waiting.size === 0) worker.unref();
  });
  worker.on("error", (thrown) => {
    failure = thrown;
  });
  worker.on("exit", () => {
    const cause = new Error(`a thread that signs has ended${failure === undefined ? "" : `: ${messageOf(failure)}`}`);
    for (const answer of waiting.values()) {
      answer.reject(
        new TrysailError("unavailable", "the certificate authority is not available: try again", { cause }),
      );
    }
    waiting.clear();
    onEnd();
  });

  /** What came within one turn of the event loop goes over at once: to wake a thread costs more than a message. */
  function send(): void {
    const jobs = queued;
    queued = [];
    worker.postMessage(jobs);
  }

  return {
    get pending() {
      return waiting.size;
    },
    run({ hash, bytes, key, signature }) {
      if (waiting.size === 0) worker.ref();
      const id = ++lastId;
      const answer = Promise.withResolvers<Uint8Array | boolean>();
      waiting.set(id, answer);
      // Copies, since a small Buffer is a part of a large pool, which would go over as a whole.
      const copies = { bytes: new Uint8Array(bytes), signature: signature && new Uint8Array(signature) };
      if (queued.push({ id, hash, key, ...copies }) === 1) setImmediate(send);
      return answer.promise;
    },
    async stop() {
      await worker.terminate();
    },
  };
}
