/** What ends what was begun: a test, or a bench. Calls come in the order in which they were asked for. */
export interface Cleanup {
  after(end: () => unknown): void;
}
