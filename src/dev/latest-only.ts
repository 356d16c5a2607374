/**
 * Runs `apply` for one value at a time; of those that come meanwhile only the last one counts. `settled` resolves when
 * nothing is left to do.
 */
export interface LatestOnly<T> {
  push(value: T): void;
  settled(): Promise<void>;
}

export function createLatestOnly<T>(
  apply: (value: T) => Promise<void>,
  onError: (thrown: unknown) => void,
): LatestOnly<T> {
  let next: { value: T } | undefined;
  let work: Promise<void> | undefined;

  async function drain(): Promise<void> {
    while (next !== undefined) {
      const { value } = next;
      next = undefined;
      await apply(value).catch(onError);
    }
  }

  return {
    push(value) {
      next = { value };
      work ??= drain().finally(() => {
        work = undefined;
      });
    },
    settled: async () => work,
  };
}
