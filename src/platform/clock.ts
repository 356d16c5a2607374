/** Time as a dependency: production passes `systemClock`, tests drive their own. */
export interface Clock {
  /** Milliseconds since the Unix epoch. Whoever sets the machine's clock moves it, back as well. */
  now(): number;
  /** Milliseconds since some moment, which go on evenly: for how long something lasts or waits. */
  elapsed(): number;
  /** Calls `run` once after `delayMs`; the timer never keeps the process alive. Returns the cancellation. */
  after(delayMs: number, run: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
