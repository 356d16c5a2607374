import type { Clock } from "../../platform/clock.ts";
import { type SignatureThread, startSignatureThread } from "./signature-thread.ts";
import type { Signatures } from "./signatures.ts";

export interface SignatureThreads extends Signatures {
  /** What is not answered yet is rejected. */
  stop(): Promise<void>;
}

export interface SignatureThreadsDeps {
  readonly maxThreads: number;
  /** Threads that had nothing to do for so long are ended, since each holds some 15 MB. */
  readonly idleMs: number;
  readonly clock: Pick<Clock, "after">;
}

/** Less than a millisecond of work. */
const ENOUGH_JOBS = 8;

/** Signs and verifies on threads of its own, so that the event loop is free. */
export function createSignatureThreads({ maxThreads, idleMs, clock }: SignatureThreadsDeps): SignatureThreads {
  const threads = new Set<SignatureThread>();
  let cancelRest = () => {};

  /** The first that has not enough to do, so that jobs go over many at a time; a further one is started when there is none. */
  function chosen(): SignatureThread {
    const all = [...threads];
    const willing = all.find(({ pending }) => pending < ENOUGH_JOBS);
    if (willing !== undefined) return willing;
    if (all.length >= maxThreads) return all.reduce((a, b) => (b.pending < a.pending ? b : a));
    const thread = startSignatureThread(() => threads.delete(thread));
    threads.add(thread);
    return thread;
  }

  async function run(job: Parameters<SignatureThread["run"]>[0]): Promise<Uint8Array | boolean> {
    cancelRest();
    try {
      return await chosen().run(job);
    } finally {
      cancelRest();
      if ([...threads].every(({ pending }) => pending === 0)) cancelRest = clock.after(idleMs, () => void stop());
    }
  }

  async function stop(): Promise<void> {
    cancelRest();
    const ending = [...threads];
    // Whoever comes from now on gets a new one.
    threads.clear();
    await Promise.all(ending.map((thread) => thread.stop()));
  }

  return {
    async sign(hash, bytes, key) {
      const signature = await run({ hash, bytes, key, signature: undefined });
      if (signature instanceof Uint8Array) return signature;
      throw new TypeError("a thread that signs answered no signature");
    },
    async verify(hash, bytes, key, signature) {
      return (await run({ hash, bytes, key, signature })) === true;
    },
    stop,
  };
}
