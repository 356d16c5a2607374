/** Does the same small thing for many streams without holding the event loop for long. */
export interface PushQueue {
  /** Runs `job` soon, once however often it is added before it runs. It must not throw. */
  add(job: () => void): void;
  /** How many jobs wait. */
  readonly size: number;
}

/** Runs jobs in the order in which they came, and lets everything else have its turn after each `sliceMs`. */
export function createPushQueue(options: { readonly sliceMs: number }): PushQueue {
  const jobs = new Set<() => void>();
  let scheduled = false;

  function schedule(): void {
    if (scheduled) return;
    scheduled = true;
    setImmediate(runSlice);
  }

  function runSlice(): void {
    scheduled = false;
    const until = performance.now() + options.sliceMs;
    for (const job of jobs) {
      jobs.delete(job);
      job();
      if (performance.now() >= until) break;
    }
    if (jobs.size > 0) schedule();
  }

  return {
    add(job) {
      jobs.add(job);
      schedule();
    },
    get size() {
      return jobs.size;
    },
  };
}
