/** Adds `more` to the end of `list`. `list.push(...more)` passes each as an argument, and some 100,000 overflow the stack. */
export function append<T>(list: T[], more: Iterable<T>): void {
  for (const item of more) list.push(item);
}
