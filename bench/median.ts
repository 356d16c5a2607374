/** The middle one of an odd count; of an even one, the greater of the two. NaN where there is none. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** One after the other, as often as is said. */
export async function inTurn(count: number, measure: () => Promise<number>): Promise<number[]> {
  const values: number[] = [];
  while (values.length < count) values.push(await measure());
  return values;
}
