/** What the kernel takes, in bytes of UTF-8 without the one that ends it (unix(7), `sun_path`). */
const MOST_BYTES = 107;

/** The path behind `unix://`, or an abstract name behind `@`; null where there is none that a proxy could use. */
export function parseSocket(text: string): string | null {
  const path = /^unix:\/\/([/@][^\0]+)$/.exec(text)?.[1];
  return path !== undefined && Buffer.byteLength(path) <= MOST_BYTES ? path : null;
}
