import type { Clock } from "../../platform/clock.ts";
import type { IssuedCertificate, SigningMaterial } from "../signer.ts";
import type { IssuingJob } from "./issuing-job.ts";
import { type IssuingThread, startIssuingThread } from "./issuing-thread.ts";

export interface IssuingThreads {
  /** Rejects with what refuses the request, or with `unavailable` where the thread ends first. */
  run(job: IssuingJob, material: SigningMaterial): Promise<IssuedCertificate>;
  /** What is not answered yet is rejected. */
  stop(): Promise<void>;
}

export interface IssuingThreadsDeps {
  readonly maxThreads: number;
  /** Threads that had nothing to do for so long are ended, since each holds some 15 MB. */
  readonly idleMs: number;
  readonly clock: Pick<Clock, "after">;
}

/** A millisecond of work. */
const ENOUGH_JOBS = 4;

/** Answers certificate signing requests on threads of its own, so that the event loop is free. */
export function createIssuingThreads({ maxThreads, idleMs, clock }: IssuingThreadsDeps): IssuingThreads {
  const threads = new Set<IssuingThread>();
  let cancelRest = () => {};

  /** The first that has not enough to do; a further one is started when there is none. */
  function chosen(): IssuingThread {
    const all = [...threads];
    const willing = all.find(({ pending }) => pending < ENOUGH_JOBS);
    if (willing !== undefined) return willing;
    if (all.length >= maxThreads) return all.reduce((a, b) => (b.pending < a.pending ? b : a));
    const thread = startIssuingThread(() => threads.delete(thread));
    threads.add(thread);
    return thread;
  }

  async function stop(): Promise<void> {
    cancelRest();
    const ending = [...threads];
    // Whoever comes from now on gets a new one.
    threads.clear();
    await Promise.all(ending.map((thread) => thread.stop()));
  }

  return {
    async run(job, material) {
      cancelRest();
      try {
        return await chosen().run(job, material);
      } finally {
        cancelRest();
        if ([...threads].every(({ pending }) => pending === 0)) cancelRest = clock.after(idleMs, () => void stop());
      }
    },
    stop,
  };
}
