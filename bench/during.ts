/** Does `work` while `load` is repeated, so that none of it goes without. */
export async function during<T>(load: () => Promise<unknown>, work: () => Promise<T>): Promise<T> {
  let isDone = false;
  const repeat = async () => {
    while (!isDone) await load();
  };
  const [result] = await Promise.all([work().finally(() => (isDone = true)), repeat()]);
  return result;
}
