/** Callers choose it, and may have put something else where a name belongs. */
const LONGEST_NAME = 64;

/**
 * The first parameter in a URL that is not among those that are read; undefined where there is none. What nobody reads is
 * refused and not passed over: whoever wrote it relies on it.
 */
export function unknownParameter({ query }: { readonly query: unknown }, known: readonly string[]): string | undefined {
  const names = typeof query === "object" && query !== null ? Object.keys(query) : [];
  return names.find((name) => !known.includes(name))?.slice(0, LONGEST_NAME);
}
